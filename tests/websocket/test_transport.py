"""A transport between the watchers and its owner: errors, late wake-ups, and what comes after the
end.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from tina4_wsgi.hub.flush_queue import FlushQueue
from tina4_wsgi.hub.poller import Poller
from tina4_wsgi.hub.stream import reset_on_close
from tina4_wsgi.hub.syscalls import FIRST_READ_BYTES
from tina4_wsgi.websocket.seams import TransportOwner
from tina4_wsgi.websocket.transport import (
    ENDED,
    INBOUND_FULL,
    OUTBOUND_FULL,
    FrameSource,
    Transport,
)

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
def poller() -> Iterator[Poller]:
    poller = Poller(gevent.get_hub().loop)
    yield poller
    poller.close()


class Stream:
    """A socket with its own way to receive and to send, as one with TLS has."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def itself(sock: socket.socket) -> socket.socket:
    return sock


@pytest.fixture
def connect_as(poller: Poller) -> Iterator[Pair]:
    """Make a transport, with its owner and its peer's end; `wrap` is given its socket."""
    made = []

    def connect(
        wrap: Callable[[Any], Any], raises: str = "", most_bytes: int = len(PLENTY)
    ) -> tuple[Transport, Ear, Any]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            peer = socket.create_connection(listener.getsockname(), WAIT_S)
            ours, _ = listener.accept()
        ours.setblocking(False)
        loop, ear = gevent.get_hub().loop, Ear(raises)
        flush_queue = FlushQueue(loop.run_callback)
        transport = Transport(wrap(ours), poller, flush_queue, ear, most_bytes)
        ear.transport = transport
        transport.start()
        made.append((transport, ear, peer))
        return made[-1]

    yield connect
    for transport, ear, peer in made:
        ear._raises = ""
        transport.abort()
        peer.close()


@pytest.fixture(params=[itself, Stream])
def connect(request: pytest.FixtureRequest, connect_as: Pair) -> Pair:
    """Make a transport of a socket, and one of a stream."""
    return functools.partial(connect_as, request.param)


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


def test_what_may_just_wait_waits_for_the_end_of_the_turn_and_one_byte_more_does_not(
    connect: Pair,
) -> None:
    transport, _, peer = connect(most_bytes=10)
    peer.setblocking(False)

    transport.write(b"x" * 4)
    transport.write_shared(b"y" * 6)
    assert transport.queued_bytes == 10
    with pytest.raises(BlockingIOError):
        peer.recv(100)
    transport.write_shared(b"z")

    assert transport.queued_bytes == 0
    peer.setblocking(True)
    assert peer.recv(100) == b"x" * 4 + b"y" * 6 + b"z"


def test_behind_a_backlog_the_owner_is_asked_about_what_is_too_much(connect_as: Pair) -> None:
    transport, ear, _ = connect_as(Sips, most_bytes=10)
    transport.write(b"x" * 4)
    transport.flush()

    transport.write_shared(b"y" * 6)
    assert (ear.told, transport.queued_bytes) == (["stalled"], 10)
    transport.write_shared(b"z")

    assert ear.told == ["stalled", "overflowed"]
    assert transport.queued_bytes == 4


def full(sock: socket.socket) -> socket.socket:
    """Fill what the kernel holds for a socket."""
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.send(PLENTY)
    return sock


@pytest.mark.parametrize("wrap", [full, lambda sock: Stream(full(sock))], ids=["socket", "stream"])
def test_a_kernel_that_takes_nothing_is_offered_all_of_it_again(
    connect_as: Pair, wrap: Callable[[Any], Any]
) -> None:
    transport, ear, peer = connect_as(wrap)

    transport.write(b"abc")
    transport.flush()
    assert (ear.told, transport.queued_bytes, transport.sent_bytes) == (["stalled"], 3, 0)
    transport.finish()

    assert read_to_end(peer)[-4:] == b"xabc"
    assert (transport.queued_bytes, transport.sent_bytes) == (0, 3)


@pytest.mark.parametrize("reason", [INBOUND_FULL, OUTBOUND_FULL, ENDED])
def test_whatever_reading_stopped_for_behind_the_goodbye_it_goes_on(
    connect: Pair, reason: int
) -> None:
    transport, ear, peer = connect()
    transport.pause(reason)

    transport.finish()
    transport.finish(is_peer_done=True)  # once is enough
    assert not transport.is_settled
    peer.sendall(b"late")
    peer.close()
    ear.wait_for(1)

    assert ear.told == ["lost"]


def test_whose_goodbye_waited_for_a_slow_peer_waits_for_its_end(connect: Pair) -> None:
    transport, ear, peer = connect()
    stall(transport)
    transport.pause(ENDED)

    transport.finish(is_peer_done=True)
    assert read_to_end(peer) == PLENTY
    assert not transport.is_settled
    peer.close()
    ear.wait_for(2)

    assert ear.told == ["stalled", "lost"]


def test_a_goodbye_behind_the_end_does_nothing(connect: Pair) -> None:
    transport, ear, _ = connect()
    transport.pause(ENDED)
    transport.abort()

    transport.finish()
    transport.abort()
    transport.close()
    transport.resume(ENDED)

    assert ear.told == ["lost"]
    assert (transport.queued_bytes, transport.is_settled) == (0, False)


def test_a_goodbye_that_finds_the_peer_gone_ends_it(connect: Pair) -> None:
    transport, ear, peer = connect()
    transport.write(b"a")
    reset(peer)
    with contextlib.suppress(OSError):
        peer.recv(1)

    transport.finish()
    ear.wait_for(1)

    assert ear.told == ["lost"]
    assert (transport.is_open, transport.queued_bytes) == (False, 0)


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


@pytest.mark.parametrize(("less", "is_settled"), [(0, False), (1, True)])
def test_after_a_full_read_more_may_wait_and_is_read_away_behind_the_goodbye(
    connect_as: Pair, less: int, is_settled: bool
) -> None:
    transport, _, peer = connect_as(itself)
    peer.sendall(b"x" * (FIRST_READ_BYTES - less))
    with gevent.Timeout(WAIT_S, AssertionError("not all of it came")):
        while transport.received_bytes < FIRST_READ_BYTES - less:
            gevent.sleep(0)
    transport.pause(ENDED)

    transport.finish(is_peer_done=True)

    assert transport.is_settled == is_settled


def test_a_socket_that_takes_no_option_is_closed_all_the_same() -> None:
    with socket.socket() as gone:
        pass

    reset_on_close(gone)


def read_to_end(peer: socket.socket) -> bytes:
    """Read all that comes, while the hub goes on."""
    read = bytearray()
    peer.setblocking(False)
    with gevent.Timeout(WAIT_S, AssertionError("the end never came")):
        while True:
            try:
                piece = peer.recv(100_000)
            except BlockingIOError:
                gevent.sleep(0)
                continue
            if not piece:
                return bytes(read)
            read += piece


def test_of_pings_that_a_stalled_peer_sent_the_last_is_answered_before_the_end(
    connect: Pair,
) -> None:
    transport, _, peer = connect()
    stall(transport)

    transport.write_pongs([b"first pong"])
    transport.write_pongs([b"second pong", b"last pong"])
    transport.finish()

    assert read_to_end(peer) == PLENTY + b"last pong"


def test_pongs_of_a_peer_that_reads_leave_one_by_one(connect: Pair) -> None:
    transport, _, peer = connect()

    transport.write_pongs([b"a", b"b"])
    gevent.sleep(0)

    assert peer.recv(100) == b"ab"
    assert transport.sent_messages == 0


def test_bytes_are_counted_in_both_directions(connect: Pair) -> None:
    transport, ear, peer = connect()
    assert (transport.received_bytes, transport.sent_bytes, transport.queued_bytes) == (0, 0, 0)

    peer.sendall(b"four")
    ear.wait_for(1)
    assert transport.write(b"abc") == 3
    assert transport.write(b"de") == 5
    assert transport.queued_bytes == 5
    gevent.sleep(0)

    assert (transport.received_bytes, transport.sent_bytes, transport.queued_bytes) == (4, 5, 0)


def test_the_end_of_what_a_peer_sends_is_told_once_and_it_may_still_read(connect: Pair) -> None:
    transport, ear, peer = connect()

    peer.sendall(b"a")
    peer.shutdown(socket.SHUT_WR)
    ear.wait_for(2)
    transport.write(b"b")
    gevent.sleep(0)

    assert (ear.told, peer.recv(1)) == (["a", "finished"], b"b")
    assert (transport.is_paused, transport.is_open) == (True, True)


def test_whether_the_peer_was_heard_is_noted(connect: Pair) -> None:
    transport, ear, peer = connect()
    assert transport.was_heard
    transport.was_heard = False

    peer.sendall(b"x")
    ear.wait_for(1)

    assert transport.was_heard


def test_a_broadcast_is_counted_as_a_message_and_a_frame_of_its_own_is_not(connect: Pair) -> None:
    transport, _, peer = connect()

    transport.write(b"a")
    transport.write_shared(b"b")
    gevent.sleep(0)

    assert (transport.sent_messages, peer.recv(100)) == (1, b"ab")


@pytest.mark.parametrize(
    "reasons", [*itertools.permutations((INBOUND_FULL, OUTBOUND_FULL, ENDED), 2)]
)
def test_reading_stops_for_as_long_as_there_is_any_reason(
    connect: Pair, poller: Poller, reasons: tuple[int, int]
) -> None:
    transport, ear, peer = connect()
    assert (transport.is_paused, len(poller)) == (False, 1)
    for reason in (*reasons, *reasons):
        transport.pause(reason)
    peer.sendall(b"later")

    transport.resume(reasons[0])
    transport.resume(reasons[0])
    assert (transport.is_paused, len(poller)) == (True, 0)
    transport.resume(reasons[1])
    transport.resume(reasons[1])
    ear.wait_for(1)

    assert (ear.told, transport.is_paused) == (["later"], False)


def test_a_peer_that_takes_no_answers_is_not_read_until_it_has_taken_most_of_them(
    connect: Pair,
) -> None:
    transport, ear, peer = connect(most_bytes=40_000)
    stall(transport)
    assert transport.is_paused
    peer.sendall(b"hello?")

    peer.setblocking(False)
    with gevent.Timeout(WAIT_S, AssertionError("it is never read again")):
        while transport.is_paused:
            assert transport.queued_bytes > 10_000
            with contextlib.suppress(BlockingIOError):
                peer.recv(5_000)
            gevent.sleep(0)

    assert transport.queued_bytes <= 10_000
    ear.wait_for(2)
    assert ear.told == ["stalled", "hello?"]


class Sips(Stream):
    """Takes as many bytes as it is told to."""

    may_take = 0

    def send(self, data: bytes) -> int:
        if not self.may_take:
            raise BlockingIOError
        taken, self.may_take = self._sock.send(data[: self.may_take]), 0
        return taken


def test_reading_goes_on_when_a_quarter_of_what_may_wait_is_left(connect_as: Pair) -> None:
    streams: list[Sips] = []
    transport, _, _ = connect_as(
        lambda sock: streams.append(Sips(sock)) or streams[0], most_bytes=103
    )
    transport.write(b"x" * 51)
    transport.flush()
    assert not transport.is_paused
    transport.write(b"x")
    transport.flush()
    assert transport.is_paused

    seen = []
    for streams[0].may_take in (25, 1, 1):
        transport._on_writable()
        seen.append((transport.queued_bytes, transport.is_paused))

    assert seen == [(27, True), (26, True), (25, False)]
    assert transport.sent_bytes == 27


def test_a_small_backlog_stops_no_reading(connect: Pair) -> None:
    transport, ear, peer = connect(most_bytes=4 * len(PLENTY))
    stall(transport)

    transport.write(b"x")
    transport.flush()
    assert not transport.is_paused
    peer.sendall(b"hello?")
    ear.wait_for(2)

    assert ear.told == ["stalled", "hello?"]


@pytest.mark.parametrize("is_shared", [True, False])
def test_reading_stops_with_more_than_half_of_what_may_wait(connect: Pair, is_shared: bool) -> None:
    transport, _, _ = connect(most_bytes=2 * len(PLENTY))
    stall(transport)

    def queue(size: int) -> bool:
        if is_shared:
            transport.write_shared(b"x" * size)
        else:
            transport.write(b"x" * size)
            transport.flush()
        return transport.is_paused

    assert not queue(len(PLENTY) - transport.queued_bytes)
    assert queue(1)


def test_a_child_closes_its_copy_of_the_socket_and_tells_nobody(connect: Pair) -> None:
    before = sockets()
    transport, ear, peer = connect()
    ours = sockets() - before
    stall(transport)
    read_end, write_end = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            transport.forsake()
            transport.forsake()
            os.write(write_end, f"{len(sockets() & ours)} {ear.told} {transport.is_open}".encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)

    assert os.read(read_end, 100) == b"1 ['stalled'] False"
    for end in (read_end, write_end):
        os.close(end)
    assert transport.is_open
    assert peer.recv(1) == b"x"


def sockets() -> set[str]:
    """Give what the descriptors of this process that are sockets are known by."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(f"/proc/self/fd/{name}"))
    return {one for one in found if one.startswith("socket:")}


def test_frames_of_a_group_come_before_a_frame_that_is_written_behind_them(connect: Pair) -> None:
    transport, _, peer = connect()
    group = FrameSource()
    transport.group = group
    group.pending = [b"a", b"b"]

    transport.write(b"c")
    group.pending.append(b"d")
    transport.write_shared(b"e")
    gevent.sleep(0)

    assert peer.recv(100) == b"abcde"
    assert (transport.mark, transport.sent_messages) == (3, 4)


def test_who_leaves_a_group_takes_its_frames_along_and_no_later_ones(connect: Pair) -> None:
    transport, _, peer = connect()
    group = FrameSource()
    transport.group = group
    group.pending = [b"a"]

    transport.leave_group()
    group.pending.append(b"b")
    transport.write(b"c")
    gevent.sleep(0)

    assert (peer.recv(100), transport.mark) == (b"ac", 0)


def test_a_dropped_backlog_takes_the_frames_of_the_group_along(connect: Pair) -> None:
    transport, _, _ = connect()
    group = FrameSource()
    transport.group = group
    stall(transport)
    group.pending = [b"a", b"b"]
    transport.write_shared(b"c")

    transport.drop_backlog()

    assert (transport.mark, transport.outbox) == (2, None)
    assert 0 < transport.queued_bytes < len(PLENTY)


def test_a_pong_that_waits_for_a_slow_peer_leaves_before_the_close_frame(connect: Pair) -> None:
    transport, _, peer = connect()
    stall(transport)
    transport.write_pongs([b"pong"])

    transport.write_last(b"close")
    transport.finish()

    assert read_to_end(peer) == PLENTY + b"pongclose"


def test_a_stream_is_not_settled_before_the_end_of_its_peer(connect_as: Pair) -> None:
    transport, ear, peer = connect_as(Stream)
    peer.sendall(b"bye")
    ear.wait_for(1)  # all that there was, in one read
    transport.pause(ENDED)

    transport.finish(is_peer_done=True)
    assert not transport.is_settled
    peer.close()
    ear.wait_for(2)

    assert ear.told == ["bye", "lost"]


class Shy(Stream):
    """Takes nothing at first."""

    offered = 0

    def send(self, data: bytes) -> int:
        self.offered += 1
        if self.offered == 1:
            raise BlockingIOError
        return self._sock.send(data)


def test_a_stream_that_takes_nothing_yet_is_offered_all_of_it_again(connect_as: Pair) -> None:
    transport, ear, peer = connect_as(Shy)

    transport.write(b"abc")
    transport.flush()
    assert (ear.told, transport.queued_bytes, transport.sent_bytes) == (["stalled"], 3, 0)
    transport.finish()

    assert read_to_end(peer) == b"abc"
    assert (transport.queued_bytes, transport.sent_bytes) == (0, 3)


class Loud(Stream):
    """Hears everything in capitals."""

    def recv(self, size_bytes: int) -> bytes:
        return self._sock.recv(size_bytes).upper()


def test_a_stream_is_read_in_its_own_way(connect_as: Pair) -> None:
    transport, ear, peer = connect_as(Loud)

    peer.sendall(b"abc")
    ear.wait_for(1)

    assert ear.told == ["ABC"]
    assert transport.received_bytes == 3


def test_who_sends_much_is_read_in_larger_pieces(connect: Pair) -> None:
    transport, ear, peer = connect()
    transport.pause(INBOUND_FULL)
    peer.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            peer.send(PLENTY)

    transport.resume(INBOUND_FULL)
    ear.wait_for(2)

    assert len(ear.told[0]) >= 16_384
    assert len(ear.told[1]) > 16_384


# A server that was started without stdin gives descriptor 0 to whoever comes first


@pytest.fixture
def to_zero() -> Iterator[Callable[[socket.socket], socket.socket]]:
    """Move a socket to descriptor 0; what was there is there again afterwards."""
    kept = os.dup(0)

    def move(sock: socket.socket) -> socket.socket:
        os.dup2(sock.fileno(), 0)
        sock.close()
        return socket.socket(fileno=0)

    yield move
    os.dup2(kept, 0)
    os.close(kept)


Move = Callable[[socket.socket], socket.socket]


def test_descriptor_0_is_read_paused_and_read_again(
    to_zero: Move, connect_as: Pair, poller: Poller
) -> None:
    transport, ear, peer = connect_as(to_zero)
    assert (transport.is_open, len(poller)) == (True, 1)
    peer.sendall(b"a")
    ear.wait_for(1)

    transport.pause(INBOUND_FULL)
    assert len(poller) == 0
    peer.sendall(b"b")
    transport.resume(INBOUND_FULL)
    ear.wait_for(2)

    assert ear.told == ["a", "b"]


def test_descriptor_0_is_written_to_the_end(to_zero: Move, connect_as: Pair) -> None:
    transport, ear, peer = connect_as(to_zero)
    stall(transport)
    transport.write_shared(b"shared")
    transport.write(b"own")
    transport.flush()
    transport.finish()

    assert read_to_end(peer) == PLENTY + b"sharedown"
    peer.close()
    ear.wait_for(2)

    assert ear.told == ["stalled", "lost"]
    assert not transport.is_open


def test_descriptor_0_is_flushed_and_finished_without_a_backlog(
    to_zero: Move, connect_as: Pair
) -> None:
    transport, _, peer = connect_as(to_zero, most_bytes=2)

    transport.write(b"a")
    transport.write_shared(b"bcd")
    transport.write(b"e")
    transport.finish()

    assert read_to_end(peer) == b"abcde"


def test_descriptor_0_is_reset(to_zero: Move, connect_as: Pair) -> None:
    transport, ear, peer = connect_as(to_zero)

    transport.abort()

    assert (transport.is_open, ear.told) == (False, ["lost"])
    with pytest.raises(ConnectionResetError):
        peer.recv(1)


def test_a_child_closes_its_descriptor_0(to_zero: Move, connect_as: Pair, poller: Poller) -> None:
    transport, ear, peer = connect_as(to_zero)

    poller.close()
    transport.forsake()

    assert (transport.is_open, ear.told) == (False, [])
    assert peer.recv(1) == b""
