"""What one process wants to hear of Redis, and how it comes to hear it.

Redis is a connection whose answers a test gives one by one, since what it must say here can't be
had of a real one in this order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
import redis
from gevent.queue import Queue

from tina4_wsgi.backplane.redis import subscriber as subscriber_module
from tina4_wsgi.backplane.redis.channels import RedisNode
from tina4_wsgi.backplane.redis.health import Backoff, Health
from tina4_wsgi.backplane.redis.subscriber import RedisSubscriber
from tina4_wsgi.config import Config

WAIT_S = 5.0
DENIED = redis.exceptions.NoPermissionError("no permissions to access a channel")


class Line:
    """A connection of redis-py; what was written to it, and what there is to read."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, ...]] = []
        self.to_read: Queue[Any] = Queue()
        self.is_closed = False
        self.error: Exception | None = None  # of writing

    def connect(self) -> None: ...

    def disconnect(self) -> None:
        self.is_closed = True
        self.say(ValueError("closed while it was read"))

    def send_command(self, *command: str, check_health: bool) -> None:
        assert not check_health
        if self.error is not None:
            raise self.error
        self.commands.append(command)

    def read_response(self, *, disconnect_on_error: bool) -> Any:
        assert not disconnect_on_error
        reply = self.to_read.get()
        if isinstance(reply, Exception):
            raise reply
        return reply

    def say(self, *replies: Any) -> None:
        for reply in replies:
            self.to_read.put(reply)

    def confirm(self, *names: str, kind: bytes = b"subscribe") -> None:
        self.say(*([kind, name.encode(), 1] for name in names))


def message(name: str, data: bytes) -> list[Any]:
    return [b"message", name.encode(), data]


def wait_until(is_so: Callable[[], object]) -> None:
    with gevent.Timeout(WAIT_S):
        while not is_so():
            gevent.sleep(0)


def settle() -> None:
    """Let the greenlets do whatever they can without a new answer."""
    for _ in range(20):
        gevent.sleep(0)


class World:
    """A subscriber, and its connections in the order in which they were made."""

    def __init__(self, needed: frozenset[str] = frozenset(), **settings: Any) -> None:
        self.lines: list[Line] = []
        self.nodes: list[Any] = []
        self.heard: list[tuple[str, bytes]] = []
        self.lost = 0
        self.health = Health()
        self.subscriber = RedisSubscriber(
            Config(**settings),
            self.health,
            RedisNode(),
            lambda name, data: self.heard.append((name, data)),
            self._lose,
            needed,
        )

    def _lose(self) -> None:
        self.lost += 1

    @property
    def line(self) -> Line:
        return self.lines[-1]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def connection(config: Config, timeout_s: float, place: RedisNode) -> Line:
        worlds[-1].lines.append(Line())
        worlds[-1].nodes.append(place.address)
        return worlds[-1].line

    def start(*needed: str, **settings: Any) -> World:
        worlds.append(World(frozenset(needed), **settings))
        wait_until(lambda: worlds[-1].lines)
        return worlds[-1]

    monkeypatch.setattr(subscriber_module, "open_connection", connection)
    monkeypatch.setattr(Backoff, "next_s", lambda self: 0.0)
    yield start
    for world in worlds:
        world.subscriber.close()
    settle()


def test_a_channel_is_subscribed_to_once_however_many_want_it(start):
    world = start()

    for name in ("a", "b", "a"):
        world.subscriber.enter(name)
    settle()

    assert world.line.commands == [("SUBSCRIBE", "a", "b")]


def test_it_is_unsubscribed_from_when_the_last_one_leaves(start):
    world = start()
    for _ in range(2):
        world.subscriber.enter("a")
    settle()
    world.line.confirm("a")

    world.subscriber.leave("a")
    settle()
    assert world.line.commands == [("SUBSCRIBE", "a")]

    world.subscriber.leave("a")
    settle()
    assert world.line.commands == [("SUBSCRIBE", "a"), ("UNSUBSCRIBE", "a")]


def test_to_leave_what_nobody_entered_does_nothing(start):
    world = start()

    world.subscriber.leave("a")
    world.subscriber.enter("a")
    world.subscriber.leave("a")
    world.subscriber.leave("a")
    settle()

    assert world.line.commands == []
    assert world.subscriber._channels == {}


def test_a_channel_is_forgotten_once_redis_has_forgotten_it(start):
    world = start()
    world.subscriber.enter("a")
    settle()
    world.line.confirm("a")
    world.subscriber.leave("a")
    settle()
    assert list(world.subscriber._channels) == ["a"]

    world.line.confirm("a", kind=b"unsubscribe")
    settle()

    assert world.subscriber._channels == {}


def test_one_that_is_wanted_again_meanwhile_is_subscribed_to_again(start):
    world = start()
    world.subscriber.enter("a")
    settle()
    world.subscriber.leave("a")
    settle()
    world.subscriber.enter("a")
    settle()

    world.line.confirm("a")
    world.line.confirm("a", kind=b"unsubscribe")
    settle()
    assert world.subscriber.wait_until_confirmed("a", 0.0)
    world.line.confirm("a")
    settle()

    assert [command[0] for command in world.line.commands] == [
        "SUBSCRIBE",
        "UNSUBSCRIBE",
        "SUBSCRIBE",
    ]
    assert not world.subscriber.wait_until_confirmed("a", 0.0)


def test_commands_name_at_most_two_hundred_channels(start):
    world = start()

    for number in range(401):
        world.subscriber.enter(f"{number:03}")
    settle()

    assert [len(command) - 1 for command in world.line.commands] == [200, 200, 1]


def test_a_cluster_has_commands_and_replies_of_its_own(start):
    world = start(backplane="redis", backplane_sharded=True)
    world.subscriber.enter("a")
    settle()

    world.line.confirm("a", kind=b"ssubscribe")
    world.line.say([b"smessage", b"a", b"hello"], message("a", b"of another kind"))
    settle()

    assert world.line.commands == [("SSUBSCRIBE", "a")]
    assert world.heard == [("a", b"hello")]
    assert not world.subscriber.wait_until_confirmed("a", 0.0)


def test_messages_are_handed_on_and_other_replies_are_passed_over(start):
    world = start()

    world.line.say(message("a", b"1"), b"PONG", [b"pong", b""], [b"else", b"a", b"x"])
    world.line.say(message("é", b"2"))
    settle()

    assert world.heard == [("a", b"1"), ("é", b"2")]


def test_others_get_their_turn_while_messages_come_without_end(start, monkeypatch):
    monkeypatch.setattr(subscriber_module, "_MESSAGES_PER_TURN", 2)
    world = start()
    world.line.say(*[message("a", b"1")] * 5)
    counts = []

    for _ in range(4):
        gevent.sleep(0)
        counts.append(len(world.heard))

    assert counts[-1] == 5
    assert {2, 4} & set(counts)


def test_a_subscription_is_waited_for_until_it_is_confirmed(start):
    world = start()
    world.subscriber.enter("a")
    settle()

    waiting = gevent.spawn(world.subscriber.wait_until_confirmed, "a", WAIT_S)
    settle()
    assert not waiting.ready()
    world.line.confirm("a")

    assert waiting.get(timeout=WAIT_S) is True
    assert world.subscriber.wait_until_confirmed("a", WAIT_S) is False
    assert world.subscriber.wait_until_confirmed("never entered", WAIT_S) is False


def test_nothing_is_waited_for_while_redis_is_away(start):
    world = start()
    world.health.down("subscriber", "gone")
    world.subscriber.enter("a")

    assert world.subscriber.wait_until_confirmed("a", WAIT_S) is False


def test_a_new_connection_subscribes_to_all_that_is_wanted(start):
    world = start()
    for name in ("a", "b"):
        world.subscriber.enter(name)
    settle()
    world.line.confirm("a", "b")
    world.subscriber.leave("b")
    settle()

    world.line.say(redis.ConnectionError("gone"))
    wait_until(lambda: len(world.lines) == 2)
    settle()

    assert world.lines[0].is_closed
    assert world.line.commands == [("SUBSCRIBE", "a")]
    assert (world.lost, world.health.is_up) == (1, False)
    assert list(world.subscriber._channels) == ["a"]

    world.line.confirm("a")
    settle()
    assert (world.health.is_up, world.health.outages) == (True, 1)
    assert not world.subscriber.wait_until_confirmed("a", 0.0)


def test_silence_is_answered_by_a_ping_and_more_silence_is_an_outage(start):
    world = start()

    world.line.say(redis.TimeoutError("quiet"))
    settle()
    assert (world.line.commands, world.health.is_up) == ([("PING",)], True)

    world.line.say(redis.TimeoutError("quiet"))
    wait_until(lambda: len(world.lines) == 2)
    assert (world.lost, world.health.is_up) == (1, False)


def test_an_answer_to_the_ping_begins_the_wait_anew(start):
    world = start()

    for _ in range(3):
        world.line.say(redis.TimeoutError("quiet"), [b"pong", b"", b""])
        settle()

    assert (world.line.commands, world.lost) == ([("PING",)] * 3, 0)


def test_what_the_acl_forbids_together_is_asked_for_alone(start, caplog):
    world = start()
    for name in ("a", "b"):
        world.subscriber.enter(name)
    settle()

    world.line.say(DENIED)
    settle()
    assert world.line.commands[1:] == [("SUBSCRIBE", "a"), ("SUBSCRIBE", "b")]
    assert list(world.health.denied) == []

    world.line.confirm("a")
    world.line.say(DENIED)
    settle()

    assert (list(world.health.denied), world.health.is_up) == (["b"], True)
    assert not world.subscriber.wait_until_confirmed("b", 0.0)
    assert [one for one in caplog.messages if "forbids" in one] == [
        "redis forbids 'b', what is said there stays in each process: NoPermissionError: no "
        "permissions to access a channel"
    ]


def test_a_forbidden_channel_is_tried_again_when_it_is_entered_again(start):
    world = start()
    world.subscriber.enter("a")
    settle()
    world.line.say(DENIED)
    settle()

    world.subscriber.leave("a")
    settle()
    assert world.subscriber._channels == {}
    world.subscriber.enter("a")
    settle()
    world.line.confirm("a")
    settle()

    assert world.line.commands == [("SUBSCRIBE", "a")] * 2
    assert not world.subscriber.wait_until_confirmed("a", 0.0)


def test_a_refusal_is_logged_once_however_often_it_is_met(start, caplog):
    world = start()

    for _ in range(2):
        world.subscriber.enter("a")
        settle()
        world.line.say(DENIED)
        settle()
        world.subscriber.leave("a")
        settle()

    assert len([one for one in caplog.messages if "forbids" in one]) == 1


def test_a_channel_that_is_allowed_after_a_new_connection_is_no_longer_told(start):
    world = start()
    world.subscriber.enter("a")
    settle()
    world.line.say(DENIED)
    settle()
    assert list(world.health.denied) == ["a"]

    world.line.say(redis.ConnectionError("gone"))
    wait_until(lambda: len(world.lines) == 2)
    settle()
    world.line.confirm("a")
    settle()

    assert (list(world.health.denied), world.health.is_up) == ([], True)
    assert world.subscriber._channels["a"].is_denied is False


def test_a_needed_channel_that_is_forbidden_is_an_outage(start):
    world = start("inbox")
    world.subscriber.enter("inbox")
    settle()

    world.line.say(DENIED)
    wait_until(lambda: len(world.lines) == 2)

    assert (world.health.is_up, list(world.health.denied)) == (False, [])


def test_a_needed_channel_among_others_is_tried_alone_first(start):
    world = start("inbox")
    for name in ("a", "inbox"):
        world.subscriber.enter(name)
    settle()

    world.line.say(DENIED)
    settle()

    assert world.line.commands[1:] == [("SUBSCRIBE", "a"), ("SUBSCRIBE", "inbox")]
    assert len(world.lines) == 1


def test_any_other_error_of_redis_is_an_outage(start):
    world = start()
    world.subscriber.enter("a")
    settle()

    world.line.say(redis.ResponseError("ERR unknown command"))
    wait_until(lambda: len(world.lines) == 2)

    assert world.health.error == "ResponseError: ERR unknown command"


def test_a_refusal_without_a_question_is_an_outage(start):
    world = start()

    world.line.say(DENIED)
    wait_until(lambda: len(world.lines) == 2)

    assert not world.health.is_up


def test_a_redirect_is_followed_and_is_no_outage(start):
    world = start()
    world.subscriber.enter("a")
    settle()

    world.line.say(redis.ResponseError("MOVED 7 10.0.0.7:6381"))
    wait_until(lambda: len(world.lines) == 2)
    settle()

    assert world.nodes == [None, ("10.0.0.7", 6381)]
    assert (world.line.commands, world.lines[0].is_closed) == ([("SUBSCRIBE", "a")], True)
    assert (world.health.outages, world.lost) == (0, 0)


def test_after_an_outage_the_node_of_the_url_is_asked_again(start):
    world = start()

    world.line.say(redis.ResponseError("MOVED 7 10.0.0.7:6381"))
    wait_until(lambda: len(world.lines) == 2)
    world.line.say(redis.ConnectionError("gone"))
    wait_until(lambda: len(world.lines) == 3)

    assert world.nodes == [None, ("10.0.0.7", 6381), None]


def test_an_unsubscription_that_nobody_asked_for_begins_anew(start):
    world = start()
    world.subscriber.enter("a")
    settle()
    world.line.confirm("a")

    world.line.confirm("a", kind=b"unsubscribe")
    wait_until(lambda: len(world.lines) == 2)
    settle()

    assert world.line.commands == [("SUBSCRIBE", "a")]


def test_the_end_closes_the_connection(start):
    world = start()

    world.subscriber.close()
    settle()

    assert world.line.is_closed
    assert all(greenlet.ready() for greenlet in world.subscriber._greenlets)


@pytest.mark.parametrize(("error", "is_ours"), [(OSError("gone"), False), (KeyError("x"), True)])
def test_an_error_while_writing_begins_anew_and_one_of_ours_is_logged(
    start, caplog, error, is_ours
):
    world = start()
    world.line.error = error

    world.subscriber.enter("a")
    wait_until(lambda: len(world.lines) == 2)
    settle()

    assert world.line.commands == [("SUBSCRIBE", "a")]
    assert ("subscribing failed, and begins anew" in caplog.messages) is is_ours


def test_what_is_entered_while_there_is_no_connection_is_subscribed_to_by_the_next(start):
    world = start()
    world.subscriber._connection = None
    world.subscriber.enter("a")
    settle()

    world.line.say(redis.ConnectionError("gone"))
    wait_until(lambda: len(world.lines) == 2)
    settle()

    assert world.line.commands == [("SUBSCRIBE", "a")]
