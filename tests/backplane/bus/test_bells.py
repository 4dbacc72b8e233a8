"""Bells on the bus, and processes of a version that knows of no journal."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket as gevent_socket

from tests.support.engine_house import wait_until
from tina4_wsgi.backplane.bus.bus import LocalBus
from tina4_wsgi.backplane.bus.directory import BusDirectory, sender_of, socket_name
from tina4_wsgi.backplane.envelope import Envelope, EnvelopeReader, Kind, pack, pack_json, sized
from tina4_wsgi.routing.names import GroupKind

WAIT_S = 10.0
HELLO = b"\x81\x05hello"
AGAIN = b"\x81\x05again"
GUEST = bytes(range(16))
KEPT = "/kept"


class Ears:
    """The connections of a process that keeps what is said on one path, and in a room of its name."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def deliver(self, kind: Kind, name: str, frame: bytes) -> None:
        self.heard.append((kind, name, frame))

    def hear_bell(self, kind: Kind, name: str, before: int) -> None:
        self.heard.append(("bell", kind, name, before))

    def lose(self, kind: Kind, name: str, frame: bytes) -> None:
        self.heard.append(("lost", kind, name, frame))

    def keeps(self, kind: Kind, name: str) -> bool:
        return name == KEPT

    def count_here(self, kind: Kind, name: str) -> int:
        return 3

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        return {}


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="t4") as name:
        yield Path(name) / "bus"


@pytest.fixture
def join(folder: Path) -> Iterator[Callable[[], Any]]:
    """One more process."""
    buses: list[LocalBus] = []

    def join() -> Any:
        bus: Any = LocalBus(
            gevent.get_hub(), BusDirectory(str(folder)), 0, (ears := Ears()), 1 << 20
        )
        bus.start()
        bus.ears = ears
        buses.append(bus)
        return bus

    yield join
    for bus in buses:
        bus.close()


class Older:
    """A process of a version that knows of no journal: it says HELLO without, and hears frames."""

    def __init__(self, folder: Path, bus: Any) -> None:
        directory = BusDirectory(str(folder))
        self.name = socket_name(0)
        raw = directory.listen(self.name)
        self._listener = gevent_socket.socket(fileno=raw.detach())
        bus._scan()
        self._in, _ = self._listener.accept()
        self._in.settimeout(WAIT_S)
        self._out = gevent_socket.socket(socket.AF_UNIX)
        self._out.connect(str(folder / bus._name))
        hello = {"name": self.name, "pid": 1, "role": "worker"}
        self.say(pack_json(Kind.HELLO, "", hello, sender_of(self.name)))
        self._reader = EnvelopeReader()
        wait_until(lambda: bus._has_older, "what it knows")

    def say(self, packed: bytes) -> None:
        self._out.sendall(sized(packed))

    def hear(self, count: int) -> list[tuple[Kind, str, bytes]]:
        """Return so many envelopes, HELLO left out."""
        found: list[Envelope] = []
        while len([one for one in found if one.kind is not Kind.HELLO]) < count:
            self._reader.feed(self._in.recv(65_536), found)
        return [one[:3] for one in found if one.kind is not Kind.HELLO]

    def leave(self) -> None:
        for one in (self._listener, self._in, self._out):
            one.close()


@pytest.fixture
def add_older(folder: Path) -> Iterator[Callable[[Any], Older]]:
    added: list[Older] = []

    def add_older(bus: Any) -> Older:
        added.append(Older(folder, bus))
        return added[-1]

    yield add_older
    for one in added:
        one.leave()


def linked(*buses: Any) -> None:
    wait_until(lambda: all(bus.status().siblings == len(buses) - 1 for bus in buses), "the links")
    wait_until(lambda: all(len(bus._in) == len(buses) - 1 for bus in buses), "the links back")


def test_bells_broadcasts_and_losses_arrive_in_the_order_of_the_calls(join):
    one, other = join(), join()
    linked(one, other)

    one.ring(Kind.PATH_BELL, KEPT, [HELLO], 7)
    one.carry(Kind.PATH, KEPT, HELLO)
    one.ring(Kind.ROOM_BELL, KEPT, [HELLO], 7)
    one.carry(Kind.LOST_PATH, KEPT, HELLO)
    one.carry(Kind.LOST_ROOM, "r", AGAIN)

    wait_until(lambda: len(other.ears.heard) == 5, "all of it")
    assert other.ears.heard == [
        ("bell", Kind.PATH, KEPT, 7),
        (Kind.PATH, KEPT, HELLO),  # of one that knows the journal: not worth keeping
        ("bell", Kind.ROOM, KEPT, 7),
        ("lost", Kind.PATH, KEPT, HELLO),
        ("lost", Kind.ROOM, "r", AGAIN),
    ]
    assert one.ears.heard == []


def test_who_is_alone_rings_for_nobody(join):
    bus = join()

    bus.ring(Kind.PATH_BELL, KEPT, [HELLO], 7)

    assert bus._pending == []


def test_bells_for_what_a_sibling_has_asked_to_skip_are_not_sent(join):
    one, other = join(), join()
    linked(one, other)
    next(iter(one._out.values())).skipped.add((Kind.PATH, KEPT))

    one.ring(Kind.PATH_BELL, KEPT, [HELLO], 7)
    one.ring(Kind.ROOM_BELL, KEPT, [HELLO], 7)

    wait_until(lambda: other.ears.heard, "the other bell")
    assert other.ears.heard == [("bell", Kind.ROOM, KEPT, 7)]


def test_an_older_sibling_gets_the_frames_themselves(join, add_older):
    one, other = join(), join()
    linked(one, other)
    older = add_older(one)

    one.ring(Kind.PATH_BELL, KEPT, [HELLO, AGAIN], 7)
    one.carry(Kind.LOST_ROOM, "r", AGAIN)
    one.carry(Kind.PATH, "/x", HELLO)

    assert older.hear(4) == [
        (Kind.PATH, KEPT, HELLO),
        (Kind.PATH, KEPT, AGAIN),
        (Kind.ROOM, "r", AGAIN),
        (Kind.PATH, "/x", HELLO),
    ]
    wait_until(lambda: len(other.ears.heard) == 3, "all of it")
    assert other.ears.heard == [
        ("bell", Kind.PATH, KEPT, 7),
        ("lost", Kind.ROOM, "r", AGAIN),
        (Kind.PATH, "/x", HELLO),
    ]


def test_what_an_older_sibling_says_where_history_is_kept_is_lost_to_the_journal(join, add_older):
    bus = join()
    older = add_older(bus)
    sender = sender_of(older.name)

    older.say(pack(Kind.PATH, KEPT, HELLO, sender))
    older.say(pack(Kind.PATH, "/x", HELLO, sender))
    older.say(pack(Kind.ROOM, KEPT, HELLO, sender))

    wait_until(lambda: len(bus.ears.heard) == 3, "all of it")
    assert bus.ears.heard == [
        ("lost", Kind.PATH, KEPT, HELLO),
        (Kind.PATH, "/x", HELLO),
        ("lost", Kind.ROOM, KEPT, HELLO),
    ]


def test_once_the_older_sibling_has_left_nothing_is_said_in_its_way(join, add_older):
    one, other = join(), join()
    linked(one, other)
    older = add_older(one)

    older.leave()
    wait_until(lambda: not one._has_older, "its end")
    one.ring(Kind.PATH_BELL, KEPT, [HELLO], 7)

    wait_until(lambda: other.ears.heard, "the bell")
    assert other.ears.heard == [("bell", Kind.PATH, KEPT, 7)]


@pytest.mark.parametrize(
    ("hello", "is_lost"),
    [
        ({"role": "publisher"}, True),
        ({"role": "publisher", "journal": 1}, False),
        ({"role": "publisher", "journal": 2}, True),
    ],
)
def test_a_publisher_that_does_not_keep_what_it_says_loses_it(join, folder, hello, is_lost):
    bus = join()
    with gevent_socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(WAIT_S)
        sock.connect(str(folder / bus._name))
        sock.sendall(
            sized(pack_json(Kind.HELLO, "", hello, GUEST))
            + sized(pack(Kind.PATH, KEPT, HELLO, GUEST, 1))
        )
        assert sock.recv(1)

    said = (Kind.PATH, KEPT, HELLO)
    assert bus.ears.heard == [("lost", *said) if is_lost else said]


def test_a_publisher_hears_of_its_bell_when_the_news_have_been_handed_on(join, folder):
    bus, order = join(), []
    later = gevent.get_hub().loop.run_callback

    def hear_bell(kind: Kind, name: str, before: int) -> None:
        # As a keeper does: it reads at the end of the turn, and then the groups are flushed.
        later(lambda: later(lambda: order.append("handed on")))

    bus.ears.hear_bell = hear_bell
    send_acks = bus._send_acks
    bus._send_acks = lambda: (order.append("told"), send_acks())
    with gevent_socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(WAIT_S)
        sock.connect(str(folder / bus._name))
        sock.sendall(
            sized(pack_json(Kind.HELLO, "", {"role": "publisher"}, GUEST))
            + sized(pack(Kind.PATH_BELL, KEPT, b"7", GUEST, 1))
        )
        assert sock.recv(1)

    assert order == ["handed on", "told"]


def test_the_kinds_of_topics_are_those_of_groups():
    assert (int(Kind.PATH), int(Kind.ROOM)) == (int(GroupKind.PATH), int(GroupKind.ROOM))


@pytest.mark.parametrize("body", [b"", b"seven", b"-1", b"9" * 21])
def test_a_bell_without_the_number_of_a_message_ends_the_link(join, folder, body):
    bus = join()
    with gevent_socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(WAIT_S)
        sock.connect(str(folder / bus._name))
        sock.sendall(
            sized(pack_json(Kind.HELLO, "", {"role": "publisher"}, GUEST))
            + sized(pack(Kind.PATH_BELL, KEPT, body, GUEST, 1))
        )

        # What it is told of the message before it, perhaps, and then the end.
        while sock.recv(100):
            pass

    assert bus.ears.heard == []
