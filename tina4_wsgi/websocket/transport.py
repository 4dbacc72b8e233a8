"""One socket that the hub's poller watches, with the bytes that wait to be sent.

How it works. `on_readable` receives, hands the bytes to the owner, and sends the frames that the
owner queued meanwhile in one `send` call. Bytes that the
kernel doesn't take go into a `Backlog` with a write watcher. Frames of the owner's group don't pass
through here one by one: the group keeps one list for all its members, and `mark` says how many of
its frames this member has already taken.

Invariants:
- No exception leaves `on_readable` or a watcher's callback: it would silently end the watcher.
- A watcher is stopped and closed before its descriptor: otherwise libev aborts the process. The
  poller forgets a descriptor before it is closed.
- Nothing here waits, logs or calls user code, except that `owner.received` runs callbacks: in a
  worker that it switches to, or in the worker that this runs in.
- `write` takes the group's pending frames before it appends, so frames leave in the order of the
  calls.
"""

from __future__ import annotations

import os
import socket
from _socket import SocketType
from typing import TYPE_CHECKING

from ..hub.backlog import Backlog
from ..hub.poller import Poller, Reader
from ..hub.stream import FIRST_TLS_READ_BYTES, reset_on_close
from ..hub.syscalls import (
    BROKEN,
    FIRST_READ_BYTES,
    READ_BYTES,
    close_descriptor,
    send,
    set_reset_on_close,
    shut_down_writing,
)

if TYPE_CHECKING:
    from ..hub.flush_queue import FlushQueue
    from ..hub.stream import Stream
    from .seams import TransportOwner

_WRITABLE = 2  # libev's EV_WRITE

# Why a transport doesn't read, as bits. Plain ints, since an IntFlag costs a microsecond per test.
INBOUND_FULL, OUTBOUND_FULL, ENDED = 1, 2, 4


class FrameSource:
    """A group as its members see it: the frames that wait for the end of the turn."""

    __slots__ = ("pending",)

    def __init__(self) -> None:
        self.pending: list[bytes] = []


_NO_GROUP = FrameSource()


class Transport(Reader):
    """The socket of one connection.

    Greenlets: the hub and any greenlet of its thread; only `wait_for_room` switches.

    Args:
        stream: a connected, non-blocking socket, or the descriptor of a plain one; the transport
            owns it from now on. Of a plain socket it keeps the descriptor alone.
        poller: watches the socket.
        flush_queue: flushes the transport at the end of the hub's turn.
        owner: gets the calls of `TransportOwner`.
        most_bytes: how many bytes may wait. Beyond half of them the transport stops reading; the
            owner enforces the limit itself.

    Attributes:
        group: the group whose broadcasts this transport sends.
        mark: how many of the group's pending frames this transport has taken this turn.
        outbox: frames that leave at the end of the turn; None or empty if there are none.
        queued_bytes: bytes in outbox and backlog together; `most_bytes` as given.
        received_bytes, sent_bytes, sent_messages: totals; control frames don't count as messages.
        was_heard: set whenever bytes arrive; the owner clears it with each ping.
    """

    __slots__ = (
        "_backlog",
        "_descriptor",
        "_flush_queue",
        "_is_discarding",
        "_is_drained",
        "_is_finishing",
        "_is_flush_near",
        "_is_peer_done",
        "_owner",
        "_pauses",
        "_poller",
        "_pong",
        "_read_bytes",
        "_stream",
        "group",
        "mark",
        "most_bytes",
        "outbox",
        "queued_bytes",
        "received_bytes",
        "sent_bytes",
        "sent_messages",
        "was_heard",
    )

    def __init__(
        self,
        stream: Stream | int,
        poller: Poller,
        flush_queue: FlushQueue,
        owner: TransportOwner,
        most_bytes: int,
    ) -> None:
        if isinstance(stream, SocketType):
            stream = stream.detach()
        # What isn't a socket itself has its own way to receive and to send.
        self._stream: Stream | None = None if isinstance(stream, int) else stream
        self._descriptor = stream if isinstance(stream, int) else stream.fileno()
        self._poller, self._flush_queue, self._owner = poller, flush_queue, owner
        self.most_bytes = most_bytes

        self._read_bytes = FIRST_READ_BYTES if self._stream is None else FIRST_TLS_READ_BYTES
        self._backlog: Backlog | None = None
        self._pong: bytes | None = None
        self._is_flush_near = self._is_drained = False
        self._is_finishing = self._is_peer_done = self._is_discarding = False

        self.group: FrameSource = _NO_GROUP
        self.outbox: list[bytes] | None = None
        self._pauses = self.mark = self.queued_bytes = self.received_bytes = self.sent_bytes = (
            self.sent_messages
        ) = 0
        self.was_heard = True

    # -- state

    @property
    def is_open(self) -> bool:
        """Whether the transport still has its socket."""
        return self._descriptor >= 0

    @property
    def is_paused(self) -> bool:
        """Whether reading is paused, so that silence of the peer proves nothing."""
        return bool(self._pauses)

    @property
    def stalled_since_s(self) -> float | None:
        """When the kernel last took bytes of the backlog (monotonic); None without a backlog."""
        return None if self._backlog is None else self._backlog.progressed_at_s

    # -- reading

    def start(self) -> None:
        """Start reading, unless there is a reason not to."""
        if not self._pauses:
            self._watch()

    def pause(self, reason: int) -> None:
        """Stop reading until `resume` has been called for each reason."""
        if not self._pauses and self._descriptor >= 0:
            self._poller.remove(self._descriptor)
        self._pauses |= reason

    def resume(self, reason: int) -> None:
        """Withdraw one reason for not reading."""
        was_paused = self._pauses
        self._pauses &= ~reason
        if was_paused and not self._pauses and self._descriptor >= 0:
            self._watch()

    def _watch(self) -> None:
        try:
            self._poller.add(self._descriptor, self)
        except OSError as exc:
            self._owner.failed(exc)
            return
        # The server may have read part of a TLS record.
        self._read_pending()

    def _read_pending(self) -> None:
        """Read soon the bytes that OpenSSL holds: they don't make the descriptor readable."""
        if getattr(self._stream, "has_pending", False):
            self._poller.loop.run_callback(self.on_readable)

    def on_readable(self) -> None:
        """Read once; see `Reader`."""
        try:
            if self._descriptor < 0 or self._pauses:
                return  # a read scheduled for pending TLS bytes comes too late
            if self._stream is not None:
                self._read_stream(self._stream)
                return

            inbox = self._poller.inbox
            size = inbox.receive(self._descriptor, self._read_bytes)
            if size <= 0 or self._is_discarding:
                if size >= 0:
                    self._read_the_end(size)
                elif size == BROKEN:
                    self.close()
                return

            self._is_drained = size < self._read_bytes
            if not self._is_drained:
                self._read_bytes = READ_BYTES
            self.was_heard = True
            self.received_bytes += size

            # Frames that callbacks queue meanwhile leave below in one `send` call.
            self._is_flush_near = True
            # Held here: a callback may end the connection, and `release` forgets its owner.
            owner = self._owner
            owner.received_raw(inbox.raw, size)
            self._is_flush_near = False
            if self.outbox:
                self.flush()
        except BaseException as exc:  # noqa: BLE001
            # An exception that leaves would end the watcher.
            self._owner.failed(exc)

    def _read_stream(self, stream: Stream) -> None:
        try:
            data = stream.recv(self._read_bytes)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return

        self._is_drained = len(data) < self._read_bytes
        if not self._is_drained:
            self._read_bytes = READ_BYTES
            self._read_pending()
        if not data or self._is_discarding:
            self._read_the_end(len(data))
            return
        self.was_heard = True
        self.received_bytes += len(data)
        self._is_flush_near = True
        owner = self._owner
        owner.received(data)
        self._end_turn()

    def _end_turn(self) -> None:
        self._is_flush_near = False
        if self.outbox:
            self.flush()

    def leave_turn(self) -> None:
        """A callback waits inside of `on_readable`; see `Reader`."""
        try:
            self._end_turn()
            owner = self._owner
            owner.left_waiting()
        except BaseException as exc:  # noqa: BLE001
            # An exception that leaves would end the watcher.
            self._owner.failed(exc)

    def _read_the_end(self, size: int) -> None:
        if not self._is_discarding:
            self.pause(ENDED)
            self._owner.peer_finished()
        elif not size:
            self.close()

    # -- writing

    def write(self, frame: bytes) -> int:
        """Queue one frame behind all earlier frames and broadcasts of this connection.

        Returns:
            The new `queued_bytes`. A closed transport accepts the frame and drops it.
        """
        if self.group.pending:
            self.take_pending()
        outbox = self.outbox
        if not outbox and not self._is_flush_near:
            self._flush_queue.add_transport(self)
        if outbox is None:
            outbox = self.outbox = []
        outbox.append(frame)
        self.queued_bytes = queued_bytes = self.queued_bytes + len(frame)
        return queued_bytes

    def write_pongs(self, pongs: list[bytes]) -> None:
        """Queue pongs; only the latest one while the kernel takes no bytes (RFC 6455 §5.5.3)."""
        if self._backlog is not None:
            self._pong = pongs[-1]
            return
        for pong in pongs:
            self.write(pong)

    def write_last(self, close_frame: bytes) -> None:
        """Queue our close frame, behind the pong that waits for the end of a backlog."""
        if self._pong is not None:
            pong, self._pong = self._pong, None
            self.write(pong)
        self.write(close_frame)

    def take_pending(self) -> None:
        """Move the group's pending frames to the outbox, so that later frames stay behind them."""
        pending = self.group.pending
        taken = pending[self.mark :]
        if taken:
            self.mark = len(pending)
            if not self.outbox and not self._is_flush_near:
                self._flush_queue.add_transport(self)
            if self.outbox is None:
                self.outbox = []
            self.outbox.extend(taken)
            self.sent_messages += len(taken)
            self.queued_bytes += sum(map(len, taken))

    def write_shared(self, data: bytes) -> None:
        """Queue a broadcast frame that doesn't come through `group`; never waits."""
        if self.group.pending:
            self.take_pending()
        self.sent_messages += 1
        if self._backlog is not None or self.queued_bytes + len(data) > self.most_bytes:
            self._write_behind(data)
        else:
            self.write(data)

    def _write_behind(self, data: bytes) -> None:
        """Queue a broadcast behind a backlog, with a bound: a slow reader must not fill memory."""
        self.flush()  # keeps the order, and sends what only waits for the end of the turn

        if self._backlog is None:
            self._offer(data)  # whatever its size: one message alone may always wait
        elif self.queued_bytes + len(data) <= self.most_bytes or self._owner.overflowed(len(data)):
            self._backlog.append(data, is_droppable=True)
            self.queued_bytes += len(data)
            self._check_high_water()

    def write_joined(self, data: bytes) -> None:
        """Send frames of the group at the end of a turn, behind frames that wait already."""
        if self._backlog is not None or self.outbox:
            self._write_behind(data)
        else:
            self._offer(data)

    def leave_group(self) -> None:
        """Leave the group; earlier broadcasts are still sent."""
        self.take_pending()
        self.group = _NO_GROUP
        self.mark = 0

    def flush(self) -> None:
        """Offer the outbox to the kernel in one call; the backlog keeps what it doesn't take."""
        outbox = self.outbox
        if not outbox:
            return

        data = outbox[0] if len(outbox) == 1 else b"".join(outbox)
        self.outbox = None

        if self._backlog is not None:
            self._backlog.append(data)
            self._check_high_water()
        else:
            self._offer(data)

    def _offer(self, data: bytes) -> None:
        """Send `data` in one call; bytes that the kernel doesn't take begin a backlog.

        A closed transport drops them, since its descriptor is none.
        """
        if self._stream is not None:
            try:
                sent = self._stream.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.close()
                return
        else:
            sent = send(self._descriptor, data)
            if sent < 0:
                if sent == BROKEN:
                    self.close()
                    return
                sent = 0

        self.sent_bytes += sent
        self.queued_bytes = len(data) - sent
        if not self.queued_bytes:
            return

        watcher = self._poller.loop.io(self._descriptor, _WRITABLE)
        self._backlog = Backlog(watcher, data, sent)
        watcher.start(self._on_writable)
        self._check_high_water()
        self._owner.stalled()

    def _check_high_water(self) -> None:
        """Stop reading from a client that sends without taking the answers."""
        if self.queued_bytes > self.most_bytes // 2:
            self.pause(OUTBOUND_FULL)

    def _on_writable(self) -> None:
        try:
            backlog = self._backlog
            if backlog is None:
                return  # it has ended, or the transport is closed

            try:
                sent = backlog.send_some(self._send)
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return

            self.sent_bytes += sent
            self.queued_bytes -= sent
            if self.queued_bytes <= self.most_bytes // 4:
                self.resume(OUTBOUND_FULL)
            if not backlog:
                self._end_backlog(backlog)
        except BaseException as exc:  # noqa: BLE001
            # An exception that leaves would end the watcher.
            self._owner.failed(exc)

    def _send(self, data: bytes | memoryview) -> int:
        """Offer `data` to the kernel, and return how many bytes it took; see `Stream.send`."""
        if self._stream is not None:
            return self._stream.send(data)
        return os.write(self._descriptor, data)

    def _end_backlog(self, backlog: Backlog) -> None:
        self._backlog = None
        backlog.close()
        if self._pong is not None:
            pong, self._pong = self._pong, None
            self.write(pong)

        self.resume(OUTBOUND_FULL)
        self.flush()
        if self._is_finishing and self._descriptor >= 0 and self._backlog is None:
            # The owner won't look again, so the peer's FIN must end the connection.
            self._is_peer_done = False
            self._shut_down()

    def wait_for_room(self) -> None:
        """Wait until the kernel takes bytes of the backlog, which must exist, or it is closed.

        Greenlets: not the hub. The owner keeps the deadline and aborts a transport that stalls for
            too long.
        """
        assert self._backlog is not None
        self._backlog.wait_for_room()

    def drop_oldest(self, least_bytes: int) -> None:
        """Drop the backlog's oldest broadcasts, at least `least_bytes`; a backlog must exist."""
        assert self._backlog is not None
        self.queued_bytes -= self._backlog.drop_oldest(least_bytes)

    def drop_backlog(self) -> None:
        """Drop all waiting frames except a piece that has been sent in part."""
        self.outbox = None
        self.mark = len(self.group.pending)
        backlog = self._backlog
        assert backlog is not None
        self.queued_bytes = backlog.drop()
        if not backlog:
            self._end_backlog(backlog)

    def failed(self, error: BaseException) -> None:
        """Handle a bug of this package during a batch of flushes; bytes to send may be lost."""
        self._owner.failed(error)

    # -- the end

    def finish(self, is_peer_done: bool = False) -> None:
        """Send all waiting bytes, end the writing side, and discard what the peer still sends.

        Unless those bytes are read, the kernel answers them with a reset, and the close frame may
        be lost. The owner bounds the time by `abort`.

        Args:
            is_peer_done: whether the peer has announced that it sends no more, so no bytes follow
                those that were read.
        """
        if self._is_finishing:
            return
        self._is_finishing = True
        self._is_peer_done = is_peer_done
        self.flush()
        if self._descriptor >= 0 and self._backlog is None:
            self._shut_down()

    def _shut_down(self) -> None:
        try:
            if self._stream is not None:
                self._stream.shutdown(socket.SHUT_WR)
            else:
                shut_down_writing(self._descriptor)
        except OSError:
            self.close()
            return

        self._is_discarding = True
        if self._is_peer_done and self._is_drained and self._stream is None:
            # Nothing waits for the peer's FIN: the owner closes this transport soon.
            return
        self.resume(INBOUND_FULL | OUTBOUND_FULL | ENDED)

    @property
    def is_settled(self) -> bool:
        """Whether both close frames are out, so that `close` may follow after a grace period."""
        return self._is_discarding and self.is_paused

    def abort(self) -> None:
        """End the connection with a reset and drop all waiting bytes."""
        if self._descriptor < 0:
            return
        if self._stream is not None:
            reset_on_close(self._stream)
        else:
            set_reset_on_close(self._descriptor)
        self.close()

    def close(self) -> None:
        """Close the socket, drop all waiting bytes and call `owner.lost`; idempotent."""
        if self._descriptor < 0:
            return

        self._poller.remove(self._descriptor)
        self._close_descriptor()
        self.outbox = None
        self.queued_bytes = 0
        self.group = _NO_GROUP
        self._owner.lost()

    def release(self, heir: TransportOwner) -> None:
        """Forget the owner of a closed transport, and call `heir` in its place."""
        self._owner = heir

    def forsake(self) -> None:
        """Release the socket in a forked child, without a call to the owner: it is the parent's.

        The poller has been closed before: its set is the parent's too.
        """
        if self._descriptor >= 0:
            # Only this process's descriptor: the connection stays open.
            self._close_descriptor()

    def _close_descriptor(self) -> None:
        backlog, self._backlog = self._backlog, None
        if backlog is not None:
            backlog.close()

        stream, self._stream = self._stream, None
        descriptor, self._descriptor = self._descriptor, -1
        if stream is not None:
            stream.close()
        else:
            close_descriptor(descriptor)
