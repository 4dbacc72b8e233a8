"""What one process publishes in Redis, and what it makes of what it hears; without a Redis."""

from __future__ import annotations

import logging
from typing import Any

import gevent
import pytest

from tina4_wsgi.backplane.envelope import Envelope, Kind, pack, pack_json, unpack
from tina4_wsgi.backplane.redis import backplane as backplane_module
from tina4_wsgi.backplane.redis.backplane import RedisBackplane
from tina4_wsgi.config import Config
from tina4_wsgi.errors import BackplaneError

HELLO = b"\x81\x05hello"
ANNA, BERT = b"a" * 16, b"b" * 16
EVERYBODY = "t:everybody"


class Ears:
    """The connections of a process: remembers what they were sent."""

    def __init__(self) -> None:
        self.heard: list[tuple[Kind, str, bytes]] = []
        self.error: Exception | None = None

    def deliver(self, kind: Kind, name: str, frame: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.heard.append((kind, name, frame))

    def keeps(self, kind: Kind, name: str) -> bool:
        return False

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        return {"echo": question}


class Publisher:
    """Instead of `RedisPublisher`."""

    queued_messages = 7

    def __init__(self, *arguments: Any) -> None:
        self.put_in: list[tuple[str, Envelope, Any]] = []
        self.flushed: list[float] = []
        self.is_closed = False

    def put(self, channel: str, data: bytes, told: Any = None) -> None:
        self.put_in.append((channel, unpack(data), told))

    def renew(self) -> None: ...

    def flush(self, timeout_s: float) -> None:
        self.flushed.append(timeout_s)

    def close(self) -> None:
        self.is_closed = True


class Subscriber:
    """Instead of `RedisSubscriber`."""

    def __init__(self, *arguments: Any) -> None:
        *_, self.received, self.lost, self.needed = arguments
        self.calls: list[tuple[Any, ...]] = []

    def enter(self, channel: str) -> None:
        self.calls.append(("enter", channel))

    def leave(self, channel: str) -> None:
        self.calls.append(("leave", channel))

    def wants(self, channel: str) -> bool:
        return False

    def wait_until_confirmed(self, channel: str, timeout_s: float) -> bool:
        self.calls.append(("wait", channel, timeout_s))
        return True

    def close(self) -> None:
        self.calls.append(("close",))


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backplane_module, "RedisPublisher", Publisher)
    monkeypatch.setattr(backplane_module, "RedisSubscriber", Subscriber)


CONFIG = Config(backplane="redis", backplane_url="redis://h", backplane_prefix="t")


@pytest.fixture
def backplane(patched: None, ears: Ears) -> Any:
    backplane: Any = RedisBackplane(CONFIG, 0, ears)
    backplane.start()
    backplane.ears = ears
    return backplane


def put_in(backplane: Any) -> list[tuple[str, Envelope]]:
    return [(channel, envelope) for channel, envelope, _ in backplane._publisher.put_in]


def hear(backplane: Any, channel: str, data: bytes) -> None:
    backplane._subscriber.received(channel, data)


def test_it_begins_with_the_channels_that_every_process_needs(backplane):
    inbox = f"t:inbox:{backplane._sender.hex()}"

    assert backplane._subscriber.calls == [("enter", EVERYBODY), ("enter", inbox)]
    assert backplane._subscriber.needed == {EVERYBODY, inbox}
    assert backplane._subscriber.lost == backplane._publisher.renew


def test_a_url_that_can_not_be_read_is_found_out_at_the_start(patched, ears):
    config = Config(backplane="redis", backplane_url="redis://h?db=x")

    with pytest.raises(BackplaneError, match="can't be read"):
        RedisBackplane(config, 0, ears).start()


def test_broadcasts_are_numbered_and_go_to_the_channel_of_their_path_or_room(backplane):
    backplane.carry(Kind.PATH, "/x", HELLO)
    backplane.carry(Kind.ROOM, "r", HELLO)

    assert put_in(backplane) == [
        ("t:path:/x", Envelope(Kind.PATH, "/x", HELLO, backplane._sender, 1)),
        ("t:room:r", Envelope(Kind.ROOM, "r", HELLO, backplane._sender, 2)),
    ]


def test_a_broadcast_that_no_envelope_holds_is_dropped_and_logged(backplane, caplog):
    with caplog.at_level(logging.ERROR, "tina4_wsgi.backplane"):
        backplane.carry(Kind.PATH, "/" + "x" * 70_000, HELLO)
        gevent.sleep(0)
    backplane.carry(Kind.PATH, "/x", HELLO)

    ((_, envelope),) = put_in(backplane)
    assert (envelope.number, backplane.status().dropped_messages) == (1, 1)
    assert caplog.messages[0].startswith("a broadcast stays in this process: name of 70001 bytes")


def test_subscriptions_are_to_the_channel_of_a_path_or_a_room(backplane):
    backplane._subscriber.calls.clear()

    backplane.enter(Kind.PATH, "/x")
    backplane.leave(Kind.ROOM, "r")

    assert backplane.wait_until_heard(Kind.PATH, "/x", 2.5) is True
    assert backplane._subscriber.calls == [
        ("enter", "t:path:/x"),
        ("leave", "t:room:r"),
        ("wait", "t:path:/x", 2.5),
    ]


def test_one_that_has_retired_hears_nothing_and_still_speaks(backplane):
    subscriber = backplane._subscriber
    backplane.retire(3.0)
    backplane.retire(4.0)

    backplane.enter(Kind.PATH, "/x")
    backplane.leave(Kind.PATH, "/x")
    backplane.carry(Kind.PATH, "/x", HELLO)

    assert subscriber.calls[2:] == [("close",)]
    assert backplane.wait_until_heard(Kind.PATH, "/x", 1.0) is False
    assert (backplane._publisher.flushed, len(put_in(backplane))) == ([3.0, 4.0], 1)


def test_the_end_closes_both_connections(backplane):
    backplane.close()

    assert backplane._subscriber.calls[-1] == ("close",)
    assert backplane._publisher.is_closed


def test_one_that_never_began_has_nothing_to_close(ears):
    backplane = RedisBackplane(CONFIG, 0, ears)

    backplane.retire(1.0)
    backplane.close()

    assert backplane.status() == ("redis", True, 0, 0, 0, 0, "", (), "")


def test_its_state_is_that_of_both_connections(backplane):
    backplane._health.down("publisher", "gone")
    backplane._health.deny("t:path:/x")
    backplane._health.dropped_messages = 3

    assert backplane.status() == ("redis", False, 0, 7, 3, 1, "gone", ("t:path:/x",), "")
    assert backplane.is_alone is False


@pytest.mark.parametrize(("kind", "name"), [(Kind.PATH, "/x"), (Kind.ROOM, "r")])
def test_what_others_broadcast_is_delivered(backplane, kind, name):
    hear(backplane, f"t:{kind.name.lower()}:{name}", pack(kind, name, HELLO, ANNA, 1))

    assert backplane.ears.heard == [(kind, name, HELLO)]


def test_what_it_has_said_itself_is_not(backplane):
    backplane.carry(Kind.PATH, "/x", HELLO)

    hear(backplane, "t:path:/x", pack(Kind.PATH, "/x", HELLO, backplane._sender, 1))

    assert backplane.ears.heard == []


def numbers_heard(backplane: Any, *said: tuple[bytes, str, int]) -> list[tuple[bytes, str, int]]:
    """Say messages, each as sender, path and number; gives those that were delivered."""
    delivered = []
    for sender, path, number in said:
        before = len(backplane.ears.heard)
        hear(backplane, f"t:path:{path}", pack(Kind.PATH, path, HELLO, sender, number))
        if len(backplane.ears.heard) > before:
            delivered.append((sender, path, number))
    return delivered


def test_what_comes_again_is_known_by_sender_channel_and_number(backplane):
    new = [(ANNA, "/x", 5), (ANNA, "/x", 6), (BERT, "/x", 5), (ANNA, "/y", 5), (ANNA, "/x", 8)]
    old = [(ANNA, "/x", 8), (ANNA, "/x", 6), (ANNA, "/x", 1)]

    assert numbers_heard(backplane, *new, *old) == new


@pytest.mark.parametrize(
    ("channel", "data"),
    [
        ("t:path:/x", b"garbage"),
        ("t:path:/x", pack(Kind.PATH, "/y", HELLO, ANNA, 1)),
        (EVERYBODY, pack(Kind.ASK, "", b"[]", ANNA, 1)),
    ],
)
def test_garbage_is_dropped_and_logged_once(backplane, caplog, channel, data):
    for _ in range(2):
        hear(backplane, channel, data)

    assert (backplane.ears.heard, put_in(backplane)) == ([], [])
    assert [one.partition(": ")[0] for one in caplog.messages] == [
        "garbage in a Redis channel is dropped"
    ]


def test_what_only_a_newer_version_knows_is_skipped(backplane, caplog):
    hear(backplane, "t:path:/x", b"\x01\x63" + pack(Kind.PATH, "/x", HELLO, ANNA, 1)[2:])

    assert (backplane.ears.heard, put_in(backplane), caplog.messages) == ([], [], [])


def test_an_error_of_ours_while_delivering_is_logged(backplane, caplog):
    backplane.ears.error = KeyError("ours")

    hear(backplane, "t:path:/x", pack(Kind.PATH, "/x", HELLO, ANNA, 1))

    assert caplog.messages == ["a message of another process could not be handed on"]


def test_a_question_is_answered_to_the_one_who_asked(backplane):
    hear(backplane, EVERYBODY, pack_json(Kind.ASK, "", {"count": "/x"}, ANNA, 7))

    ((channel, answer),) = put_in(backplane)
    assert (channel, answer.kind, answer.number) == (f"t:inbox:{ANNA.hex()}", Kind.ANSWER, 7)
    assert (answer.sender, answer.json()) == (backplane._sender, {"echo": {"count": "/x"}})


def ask(backplane: Any, question: dict[str, Any]) -> tuple[gevent.Greenlet, Any]:
    asking = gevent.spawn(backplane.ask, question, 5.0)
    gevent.sleep(0)
    return asking, backplane._publisher.put_in[-1]


def test_a_question_waits_for_as_many_answers_as_heard_it(backplane):
    asking, (channel, envelope, told) = ask(backplane, {"who": "all"})
    assert (channel, envelope.kind, envelope.number) == (EVERYBODY, Kind.ASK, 1)
    assert (envelope.sender, envelope.json()) == (backplane._sender, {"who": "all"})

    told(3)
    hear(backplane, EVERYBODY, pack_json(Kind.ASK, "", {}, backplane._sender, 1))
    for sender in (ANNA, BERT):
        assert not asking.ready()
        hear(
            backplane, "inbox", pack_json(Kind.ANSWER, "", {"from": sender[:1].decode()}, sender, 1)
        )

    assert asking.get(timeout=5.0) == [{"from": "a"}, {"from": "b"}]
    assert len(put_in(backplane)) == 1


def test_a_question_about_a_path_goes_to_those_who_are_there(backplane):
    asking, (channel, *_, told) = ask(backplane, {"path": "/x"})
    told(0)

    assert (channel, asking.get(timeout=5.0)) == ("t:path:/x", [])


def test_late_answers_are_dropped(backplane):
    asking, (*_, told) = ask(backplane, {})
    told(0)
    asking.join()

    hear(backplane, "inbox", pack_json(Kind.ANSWER, "", {"late": 1}, ANNA, 1))

    assert backplane._questions._open == {}


def test_nobody_is_asked_while_redis_is_away(backplane):
    backplane._health.down("publisher", "gone")

    assert (backplane.ask({}, 5.0), put_in(backplane)) == ([], [])
