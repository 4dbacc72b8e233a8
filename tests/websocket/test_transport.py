"""A transport between the watchers and its owner: errors, late wake-ups, and what comes after the
end.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from tina4_wsgi.hub.flush_queue import FlushQueue
from tina4_wsgi.hub.poller import Poller
from tina4_wsgi.hub.stream import reset_on_close
from tina4_wsgi.websocket.seams import TransportOwner
from tina4_wsgi.websocket.transport import INBOUND_FULL, Transport

WAIT_S = 5.0
PLENTY = b"x" * 4_000_000


class Ear(TransportOwner):
    """An owner that writes down what it is told; `raises` names what it fails at."""

    transport: Transport

    def __init__(self, raises: str = "") -> None:
        self.told: list[Any] = []
        self._raises = raises

    def _note(self, what: Any) -> None:
        self.told.append(what)
        if what == self._raises:
            raise RuntimeError(what)

    def received(self, data: bytes) -> None:
        self._note(data.decode())

    def peer_finished(self) -> None:
        self._note("finished")

    def lost(self) -> None:
        self._note("lost")

    def stalled(self) -> None:
        self._note("stalled")

    def overflowed(self, size_bytes: int) -> bool:
        self.told.append("overflowed")
        self.transport.drop_oldest(size_bytes)
        return False

    def failed(self, error: BaseException) -> None:
        self.told.append(error)

    def wait_for(self, count: int) -> None:
        with gevent.Timeout(WAIT_S, AssertionError(f"only {self.told}")):
            while len(self.told) < count:
                gevent.sleep(0.001)


Pair = Callable[..., tuple[Transport, Ear, Any]]


@pytest.fixture
def connect() -> Iterator[Pair]:
    """Make a transport, with its owner and its peer's end."""
    made = []
    poller = Poller(gevent.get_hub().loop)

    def connect(raises: str = "") -> tuple[Transport, Ear, Any]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            peer = socket.create_connection(listener.getsockname(), WAIT_S)
            ours, _ = listener.accept()
        ours.setblocking(False)
        loop, ear = gevent.get_hub().loop, Ear(raises)
        flush_queue = FlushQueue(loop.run_callback)
        transport = Transport(ours, poller, flush_queue, ear, len(PLENTY))
        ear.transport = transport
        transport.start()
        made.append((transport, ear, peer))
        return made[-1]

    yield connect
    for transport, ear, peer in made:
        ear._raises = ""
        transport.abort()
        peer.close()
    poller.close()


def reset(peer: Any) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def stall(transport: Transport) -> None:
    """Queue more than the kernel takes."""
    transport.write(PLENTY)
    transport.flush()
    assert transport.stalled_since_s is not None


def stall_before_a_piece(transport: Transport, peer: socket.socket) -> None:
    """Stall a transport, and take what waited but for one whole piece of 100 000 bytes."""
    stall(transport)
    transport.write_shared(b"y" * 100_000)
    while transport.queued_bytes > 100_000:  # the hub doesn't turn meanwhile
        peer.recv(100_000)
        transport._on_writable()


def test_an_error_of_our_own_while_reading_is_told_and_others_go_on(connect: Pair) -> None:
    _, bad, bad_peer = connect(raises="a")
    _, good, good_peer = connect()

    bad_peer.sendall(b"a")
    bad.wait_for(2)
    good_peer.sendall(b"b")
    good.wait_for(1)

    assert [str(one) for one in bad.told] == ["a", "a"]
    assert isinstance(bad.told[1], RuntimeError)
    assert good.told == ["b"]


def test_an_error_of_our_own_while_writing_is_told(connect: Pair) -> None:
    transport, ear, peer = connect(raises="lost")
    stall(transport)
    transport.pause(INBOUND_FULL)  # so that the write watcher alone finds out

    reset(peer)
    ear.wait_for(3)

    assert [str(one) for one in ear.told] == ["stalled", "lost", "lost"]
    assert isinstance(ear.told[2], RuntimeError)


def test_a_wake_up_without_anything_to_do_does_nothing(connect: Pair) -> None:
    transport, ear, peer = connect()
    transport.on_readable()
    transport._on_writable()
    transport.pause(INBOUND_FULL)
    peer.sendall(b"later")
    transport.on_readable()
    assert ear.told == []

    transport.resume(INBOUND_FULL)
    ear.wait_for(1)
    stall(transport)
    queued_bytes = transport.queued_bytes
    transport._on_writable()

    assert ear.told == ["later", "stalled"]
    assert transport.queued_bytes == queued_bytes


def test_a_wake_up_after_the_end_does_nothing(connect: Pair) -> None:
    transport, ear, _ = connect()
    stall(transport)
    transport.close()

    transport.on_readable()
    transport._on_writable()

    assert ear.told == ["stalled", "lost"]


def test_what_is_written_after_the_end_is_dropped_and_the_end_is_told_once(connect: Pair) -> None:
    transport, ear, peer = connect()
    transport.abort()

    transport.write(b"late")
    transport.write_joined(b"late")
    transport.abort()
    transport.close()
    gevent.sleep(0)

    assert ear.told == ["lost"]
    assert not transport.outbox
    with pytest.raises(ConnectionResetError):
        peer.recv(1)


def test_a_broadcast_that_finds_the_peer_gone_ends_it(connect: Pair) -> None:
    transport, ear, peer = connect()
    transport.pause(INBOUND_FULL)  # so that the write alone finds out
    reset(peer)

    transport.write(b"own")
    transport.write_joined(b"a broadcast")

    assert ear.told == ["lost"]
    assert not transport.is_open


def test_a_broadcast_larger_than_the_limit_may_drop_all_that_waits(connect: Pair) -> None:
    transport, ear, peer = connect()
    stall_before_a_piece(transport, peer)

    transport.write_shared(PLENTY + b"too much")
    peer.setblocking(False)
    with gevent.Timeout(WAIT_S, AssertionError("the backlog has no end")):
        while transport.stalled_since_s is not None:
            with contextlib.suppress(BlockingIOError):
                peer.recv(100_000)
            gevent.sleep(0.001)

    assert (ear.told, transport.queued_bytes) == (["stalled", "overflowed"], 0)
    assert transport.is_open


def test_a_backlog_that_is_dropped_between_two_pieces_has_ended(connect: Pair) -> None:
    transport, ear, peer = connect()
    stall_before_a_piece(transport, peer)

    transport.drop_backlog()
    transport.write(b"the end")
    transport.finish()

    gevent.sleep(0)
    peer.settimeout(WAIT_S)
    last = b""
    while data := peer.recv(100_000):
        last = data
    assert (last[-8:], ear.told) == (b"xthe end", ["stalled"])


def test_what_comes_behind_the_goodbye_is_read_away(connect: Pair) -> None:
    transport, ear, peer = connect()
    transport.finish()

    peer.sendall(b"late")
    gevent.sleep(0.01)
    assert (ear.told, transport.is_open) == ([], True)

    peer.close()
    ear.wait_for(1)
    assert ear.told == ["lost"]


def test_a_socket_that_takes_no_option_is_closed_all_the_same() -> None:
    with socket.socket() as gone:
        pass

    reset_on_close(gone)
