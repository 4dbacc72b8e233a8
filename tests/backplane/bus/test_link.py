"""One link of the bus: what may go wrong at the other end, and at ours."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from tina4_wsgi.backplane.bus.link import Link
from tina4_wsgi.backplane.envelope import Envelope, EnvelopeReader, Kind, pack, sized

WAIT_S = 5.0
SENDER = bytes(range(16))
HELLO = b"\x81\x05hello"
MESSAGE = sized(pack(Kind.PATH, "/x", HELLO, SENDER, 7))
LARGE = sized(
    pack(Kind.PATH, "/x", b"\x82\x7f" + (1 << 20).to_bytes(8, "big") + bytes(1 << 20), SENDER, 7)
)


class Ear:
    """An owner that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.error: BaseException | None = None

    def received(self, link: Link, envelopes: list[Envelope]) -> None:
        self.told += [one.name for one in envelopes]
        if self.error is not None:
            raise self.error

    def ended(self, link: Link, reason: str) -> None:
        self.told.append(("ended", reason))

    def wait_for(self, count: int) -> None:
        with gevent.Timeout(WAIT_S, AssertionError(f"only {self.told}")):
            while len(self.told) < count:
                gevent.sleep(0.001)


@pytest.fixture
def pair() -> Iterator[tuple[Link, Ear, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    ear = Ear()
    link = Link(ours, gevent.get_hub().loop, ear, 4 << 20)
    yield link, ear, theirs
    link.close()
    theirs.close()


def test_a_peer_that_left_is_found_out_by_writing(pair):
    link, ear, theirs = pair
    theirs.close()

    link.write(MESSAGE)

    assert (ear.told, link.is_open) == ([("ended", "")], False)


def test_a_peer_that_leaves_with_a_backlog_is_found_out(pair):
    link, ear, theirs = pair
    link.write(LARGE)
    assert link.queued_bytes
    link._watcher.stop()  # so that the write watcher alone finds out

    theirs.close()
    ear.wait_for(1)

    assert (ear.told, link.queued_bytes) == ([("ended", "")], 0)


def test_a_peer_that_takes_nothing_yet_gets_all_of_it_later(pair):
    link, _, theirs = pair
    link._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_608)
    while not link.queued_bytes:
        link.write(MESSAGE)
    count = 1
    theirs.setblocking(False)
    reader, found = EnvelopeReader(), []
    with gevent.Timeout(WAIT_S, AssertionError("it has no end")):
        while link.queued_bytes or count:
            try:
                reader.feed(theirs.recv(65_536), found)
            except BlockingIOError:
                count = link.queued_bytes
                gevent.sleep(0.001)

    assert {one.number for one in found} == {7}


def numbered(number: int) -> bytes:
    return sized(pack(Kind.PATH, "/x", HELLO, SENDER, number))


def test_what_waits_leaves_in_order_and_then_nothing_waits_any_more(pair):
    link, _, theirs = pair
    link.write(LARGE)
    before = link.queued_bytes
    link.write(numbered(8))
    assert link.queued_bytes == before + len(numbered(8))

    theirs.setblocking(False)
    reader, found = EnvelopeReader(), []
    with gevent.Timeout(WAIT_S, AssertionError("it has no end")):
        while len(found) < 2:
            try:
                reader.feed(theirs.recv(1 << 20), found)
            except BlockingIOError:
                gevent.sleep(0.001)
    link.write(numbered(9))

    assert [one.number for one in found] == [7, 8]
    assert (link.queued_bytes, link._backlog) == (0, None)
    assert theirs.recv(65_536) == numbered(9)


def test_a_message_that_the_kernel_takes_whole_leaves_nothing_to_wait_for(pair):
    link, _, theirs = pair

    link.write(MESSAGE)

    assert (link.queued_bytes, link._backlog) == (0, None)
    assert theirs.recv(65_536) == MESSAGE


def test_a_peer_that_takes_nothing_is_cut_off_at_the_limit_and_not_before(pair):
    link, ear, _ = pair
    link.write(LARGE)
    rest_bytes = (4 << 20) - link.queued_bytes

    link.write(bytes(rest_bytes))
    assert (ear.told, link.queued_bytes) == ([], 4 << 20)

    link.write(b"x")
    assert ear.told == [("ended", "took nothing of 4194304 bytes and is cut off")]
    assert (link.is_open, link.queued_bytes) == (False, 0)


def test_a_peer_that_resets_the_connection_is_found_out_by_reading(pair):
    link, ear, theirs = pair
    link.write(MESSAGE)

    theirs.close()  # with bytes that it has not read
    ear.wait_for(1)

    assert (ear.told, link.is_open) == ([("ended", "")], False)


def test_a_link_that_has_ended_takes_nothing_and_ends_no_more(pair):
    link, ear, _ = pair
    link.close("enough")

    link.write(MESSAGE)
    link.close("again")
    link._on_readable()
    link._on_writable()

    assert ear.told == [("ended", "enough")]


def test_a_wake_up_without_anything_to_do_does_nothing(pair):
    link, ear, _ = pair
    link._on_readable()
    link._on_writable()
    link.write(LARGE)
    queued_bytes = link.queued_bytes

    link._on_writable()

    assert (ear.told, link.queued_bytes, link.is_open) == ([], queued_bytes, True)


def test_an_error_of_ours_cuts_the_link_and_says_which(pair):
    _, ear, theirs = pair
    ear.error = LookupError("a mistake of ours")

    theirs.sendall(MESSAGE)
    ear.wait_for(2)

    assert ear.told == [
        "/x",
        ("ended", "is cut off, since handling what it sent raised LookupError"),
    ]


def test_a_child_leaves_the_link_of_its_parent_alone(pair):
    link, ear, theirs = pair
    link._pid = os.getpid() + 1  # as a fork finds it

    theirs.sendall(MESSAGE)
    link._on_readable()
    assert (ear.told, theirs.send(b"")) == ([], 0)

    link._pid = os.getpid()
    link._watcher.start(link._on_readable)
    ear.wait_for(1)
    assert ear.told == ["/x"]
