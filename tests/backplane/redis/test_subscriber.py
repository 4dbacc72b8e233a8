"""The Redis backplane of one process: what it does when it ends, and when Redis answers something
else than hoped.

It needs patched sockets, so each case is a process; see apps/redis_inside.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import gevent
import pytest
from redis import ConnectionError as RedisConnectionError
from redis import ResponseError
from redis import TimeoutError as RedisTimeoutError

from tests.backplane.conftest import APPS
from tests.support import redis
from tests.support.servers import ROOT
from tina4_wsgi.backplane.envelope import Kind
from tina4_wsgi.backplane.redis.channels import RedisNode
from tina4_wsgi.backplane.redis.health import Backoff, Health
from tina4_wsgi.backplane.redis.outside import RedisOutsider
from tina4_wsgi.backplane.redis.subscriber import RedisSubscriber
from tina4_wsgi.config import Config
from tina4_wsgi.errors import BackplaneError

RUN_S = 20.0


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with redis.running(tmp_path_factory.mktemp("redis")) as broker:
        yield broker


def run(*arguments):
    """Run one case to its end; gives what it printed, errors included."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(APPS / "redis_inside.py"), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize(
    "case",
    [
        "who_retires_sends_all_of_it_and_hears_no_more",
        "who_closes_gives_the_connections_back",
        "long_names_are_hashed_and_reach_everybody",
        "who_enters_and_leaves_at_once_is_not_subscribed",
        "an_error_of_ours_while_handing_on_is_logged_and_the_next_arrives",
        "what_a_user_may_not_publish_is_dropped_and_told_once",
        "what_comes_twice_is_heard_once_and_little_is_remembered",
        "a_url_that_can_not_be_read_is_told_at_the_start",
        "a_name_that_utf8_can_not_express_makes_nobody_deaf_or_mute",
        "a_message_that_can_not_be_laid_out_is_dropped_and_the_next_arrives",
        "what_an_acl_forbids_is_told_once_and_all_else_is_up",
        "what_nobody_can_do_without_is_an_outage_while_it_is_forbidden",
        "a_huge_number_in_its_name_mutes_nobody",
        "a_question_that_makes_us_fail_is_answered_with_nothing",
    ],
)
def test_with_a_redis(broker, case):
    assert run(case, broker.url) == "done\n"


def test_a_guest_that_may_not_publish_is_told_so(broker):
    with broker.talking() as client:
        client.execute_command(
            "ACL", "SETUSER", "guest", "on", ">pw", "+@all", "-publish", "allchannels"
        )
    guest = RedisOutsider(Config(backplane_url=broker.url.replace("redis://", "redis://guest:pw@")))

    with pytest.raises(BackplaneError, match=r"NoPermission.*publish") as raised:
        guest.carry(Kind.PATH, "/x", b"\x81\x05hello")

    assert "pw" not in str(raised.value)
    guest.close()


def test_an_error_that_does_not_say_where_a_shard_is_sends_nobody_there():
    place = RedisNode()

    assert not place.is_elsewhere(ResponseError("MOVED somewhere"))
    assert not place.is_elsewhere(ResponseError("ERR no"))
    assert place.address is None


@pytest.mark.parametrize(
    "case",
    [
        "a_shard_that_has_moved_gets_the_message_where_it_is_now",
        "an_answer_that_can_not_be_parsed_is_an_outage",
        "a_subscriber_whose_shard_leaves_connects_again",
        "a_subscriber_that_can_not_write_connects_again",
    ],
)
def test_with_answers_of_a_cluster_that_changes(case):
    assert run(case) == "done\n"


# Its bookkeeping, with a connection that only writes down what it is told


class Wire:
    """Stands for a connection; gives the replies that a test has for it, then ends the reading."""

    def __init__(self, *replies: Any) -> None:
        self.replies = list(replies)
        self.said: list[tuple[str, ...]] = []

    def send_command(self, *words: str, check_health: bool) -> None:
        assert not check_health  # it would wait for an answer
        self.said.append(words)

    def read_response(self, disconnect_on_error: bool) -> Any:
        assert not disconnect_on_error
        if not self.replies:
            raise EOFError
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def disconnect(self) -> None:
        self.said.append(("disconnect",))


class Desk:
    """A subscriber whose greenlets never run: a test does what they would."""

    def __init__(self, needed: tuple[str, ...] = (), **settings: Any) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.health = Health()
        self.subscriber = RedisSubscriber(
            Config(backplane="redis", **settings),
            self.health,
            RedisNode(),
            lambda channel, data: self.heard.append((channel, data)),
            lambda: None,
            frozenset(needed),
        )
        gevent.killall(self.subscriber._greenlets)
        self.begin()

    def begin(self) -> None:
        self.wire = Wire()
        self.subscriber._begin(self.wire)

    def enter(self, *names: str) -> None:
        for name in names:
            self.subscriber.enter(name)

    def leave(self, *names: str) -> None:
        for name in names:
            self.subscriber.leave(name)

    def write(self) -> list[tuple[str, ...]]:
        """Write what is due, and give that."""
        self.wire.said.clear()
        self.subscriber._write(self.wire)
        return list(self.wire.said)

    def read(self, *replies: Any) -> None:
        self.wire.replies = list(replies)
        with pytest.raises(EOFError):
            self.subscriber._read(self.wire, Backoff())

    def waits_for(self, name: str) -> bool:
        return self.subscriber.wait_until_confirmed(name, 0.0)


def subscribed(name: str) -> list[Any]:
    return [b"subscribe", name.encode(), 1]


def unsubscribed(name: str) -> list[Any]:
    return [b"unsubscribe", name.encode(), 1]


NO = ResponseError("NOPERM No permissions to access a channel used as an argument to the command")


def test_a_channel_is_subscribed_for_the_first_and_unsubscribed_for_the_last():
    desk = Desk()

    desk.enter("a", "a", "b")
    assert desk.write() == [("SUBSCRIBE", "a", "b")]
    assert desk.write() == []
    desk.leave("a")
    assert desk.write() == []
    desk.leave("a", "b", "b", "c")

    assert desk.write() == [("UNSUBSCRIBE", "a", "b")]


@pytest.mark.parametrize("is_sharded", [False, True])
def test_with_shards_the_commands_and_answers_have_other_names(is_sharded):
    desk, prefix = Desk(backplane_sharded=is_sharded), "S" if is_sharded else ""
    small = prefix.lower().encode()

    desk.enter("a")
    assert desk.write() == [(f"{prefix}SUBSCRIBE", "a")]
    desk.read([small + b"subscribe", b"a", 1], [small + b"message", b"a", b"hello"])
    desk.leave("a")
    assert desk.write() == [(f"{prefix}UNSUBSCRIBE", "a")]
    desk.read([small + b"unsubscribe", b"a", 0])

    assert desk.heard == [("a", b"hello")]
    assert not desk.subscriber._channels


def test_a_subscription_is_waited_for_until_it_is_confirmed():
    desk = Desk()
    assert not desk.waits_for("a")

    desk.enter("a")
    assert desk.waits_for("a")
    desk.write()
    assert desk.waits_for("a")
    desk.read(subscribed("a"))

    assert not desk.waits_for("a")


def test_nobody_waits_while_redis_is_away():
    desk = Desk()
    desk.enter("a")
    desk.health.down("publisher", "away")
    assert desk.waits_for("a")

    desk.health.down("subscriber", "away")

    assert not desk.waits_for("a")


def test_who_leaves_and_enters_again_waits_for_the_last_answer():
    desk = Desk()
    desk.enter("a")
    desk.write()
    desk.leave("a")
    desk.write()
    desk.enter("a")
    desk.write()

    desk.read(subscribed("a"), unsubscribed("a"))
    assert desk.waits_for("a")
    desk.read(subscribed("a"))

    assert not desk.waits_for("a")


def test_what_is_left_before_it_was_subscribed_is_never_subscribed():
    desk = Desk()
    desk.enter("a")
    desk.leave("a")

    assert desk.write() == []
    assert not desk.subscriber._channels


def test_a_channel_is_known_until_redis_has_answered_for_it():
    desk = Desk()
    desk.enter("a")
    desk.write()
    desk.leave("a")
    desk.write()
    desk.read(subscribed("a"))
    assert list(desk.subscriber._channels) == ["a"]

    desk.read(unsubscribed("a"))

    assert not desk.subscriber._channels
    assert not desk.subscriber._sent


def test_answers_for_channels_that_are_not_known_mean_nothing():
    desk = Desk()

    desk.read(subscribed("x"), unsubscribed("x"), [b"pong", b""], 5, [b"other", b"x", 1])

    assert not desk.subscriber._channels


def test_a_goodbye_that_nobody_asked_for_is_a_shard_that_moved():
    desk = Desk()
    desk.enter("a")
    desk.write()
    desk.read(subscribed("a"))

    desk.wire.replies = [unsubscribed("a")]
    with pytest.raises(RedisConnectionError, match="moved to another node"):
        desk.subscriber._read(desk.wire, Backoff())


def test_two_hundred_channels_go_into_one_command():
    desk = Desk()
    names = [f"{number:03}" for number in range(401)]
    desk.enter(*names)

    said = desk.write()

    assert [len(words) - 1 for words in said] == [200, 200, 1]
    assert [name for words in said for name in words[1:]] == names


def test_a_new_connection_subscribes_all_that_is_wanted_anew():
    desk = Desk()
    desk.enter("a", "b")
    desk.write()
    desk.read(subscribed("a"), subscribed("b"))
    desk.leave("b")

    desk.begin()

    assert desk.waits_for("a")
    assert desk.write() == [("SUBSCRIBE", "a")]
    desk.read(subscribed("a"))
    assert not desk.waits_for("a")
    assert list(desk.subscriber._channels) == ["a"]


def test_of_several_that_are_refused_together_each_is_tried_alone(caplog):
    desk = Desk()
    desk.enter("a", "b")
    desk.write()

    desk.read(NO)
    assert desk.write() == [("SUBSCRIBE", "a"), ("SUBSCRIBE", "b")]
    assert caplog.records == []
    desk.read(subscribed("a"), NO)

    assert (desk.waits_for("a"), desk.waits_for("b")) == (False, False)
    assert list(desk.health.denied) == ["b"]
    assert desk.health.is_up
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("redis forbids 'b', what is said there stays in each process: ")
    assert desk.write() == []


def test_what_was_refused_is_tried_again_on_a_new_connection_and_told_once(caplog):
    desk = Desk()
    desk.enter("a")
    for _ in range(2):
        desk.begin()
        assert desk.write() == [("SUBSCRIBE", "a")]
        desk.read(NO)
    assert len(caplog.records) == 1

    desk.begin()
    desk.write()
    desk.read(subscribed("a"))

    assert not desk.health.denied


def test_a_hundred_refused_channels_are_named_in_the_log(caplog):
    desk = Desk()
    for number in range(102):
        desk.enter(f"{number}")
        desk.write()
        desk.read(NO)

    assert len(caplog.records) == 100


def test_who_leaves_a_refused_channel_is_forgotten():
    desk = Desk()
    desk.enter("a")
    desk.write()
    desk.read(NO)

    desk.leave("a")

    assert desk.write() == []
    assert not desk.subscriber._channels


def refused(desk: Desk, error: Exception) -> Any:
    desk.wire.replies = [error]
    return pytest.raises(type(error), match=str(error)[:20])


def test_a_needed_channel_that_is_refused_alone_is_an_outage():
    desk = Desk(needed=("a",))
    desk.enter("a", "b")
    desk.write()
    desk.read(NO)
    desk.write()

    with refused(desk, NO):
        desk.subscriber._read(desk.wire, Backoff())


@pytest.mark.parametrize("is_asked", [True, False])
def test_another_error_or_one_that_answers_nothing_is_an_outage(is_asked):
    desk, error = Desk(), ResponseError("ERR no idea") if is_asked else NO
    if is_asked:
        desk.enter("a")
        desk.write()

    with refused(desk, error):
        desk.subscriber._read(desk.wire, Backoff())


def test_after_a_silence_redis_is_asked_and_after_a_second_one_it_is_gone():
    desk = Desk()
    desk.read(RedisTimeoutError(), [b"pong", b""], RedisTimeoutError())
    assert desk.write() == [("PING",)]
    assert desk.write() == []

    desk.wire.replies = [RedisTimeoutError(), RedisTimeoutError("silent")]
    with pytest.raises(RedisTimeoutError, match="silent"):
        desk.subscriber._read(desk.wire, Backoff())


def test_an_outage_is_over_when_all_has_been_subscribed():
    desk = Desk()
    desk.enter("a", "b")
    desk.health.down("subscriber", "away")

    desk.read([b"pong", b""])
    assert not desk.health.is_up
    desk.write()
    desk.read(subscribed("a"))

    assert desk.health.is_up


def test_a_refused_channel_does_not_hold_the_end_of_an_outage_up():
    desk = Desk()
    desk.enter("a")
    desk.write()
    desk.read(NO)
    desk.health.down("subscriber", "away")

    desk.read([b"pong", b""])

    assert desk.health.is_up


def test_others_get_a_turn_after_many_messages():
    desk, turns = Desk(), []
    gevent.spawn(lambda: turns.append(len(desk.heard)))

    desk.read(*[[b"message", b"a", b"x"]] * 300)

    assert (turns, len(desk.heard)) == ([256], 300)
