"""A client's end of a WebSocket, in a test.

Its socket is one half of a socketpair, which is read in the hub. So data is received whenever the
hub runs, and a test that doesn't look for a while is no slow reader.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from collections import deque
from typing import TYPE_CHECKING, Any

import gevent

from .. import jsontext
from ..errors import ConnectionClosed, ProtocolError
from ..protocol.frames import (
    CloseCode,
    Opcode,
    close_payload,
    encode_close,
    encode_frame,
    encode_message,
)
from .codec import Decoder, Event, masked
from .errors import ReceiveTimeout, listed
from .memory import marked
from .settling import CUT_AFTER_S, Settling, not_settled

if TYPE_CHECKING:
    from types import TracebackType

    from werkzeug.datastructures import Headers

    from ..server.wire import Wire
    from .memory import Memory
    from .spying import SpiedRoute

_READABLE, _WRITABLE = 1, 2  # libev's EV_READ and EV_WRITE
_READ_BYTES = 65_536


class WebSocket:
    """One open WebSocket, made by `TestClient.websocket`; a context manager that closes it.

    Args:
        memory: of a client that may come back; None for one that wants plain messages.

    Attributes:
        path: as the test wrote it.
        headers: the header fields of the 101.
        received: all messages so far, including those that the test has not asked for.
    """

    def __init__(
        self,
        sock: Wire,
        route: SpiedRoute,
        settling: Settling,
        path: str,
        headers: Headers,
        may_stay_in_open: bool,
        memory: Memory | None = None,
    ) -> None:
        self.path = path
        self.headers = headers
        self.received: list[str | bytes] = []
        self._socket: Wire | None = sock  # None once closed
        self._route = route
        self._settling = settling
        self._may_stay_in_open = may_stay_in_open
        self._memory = memory
        self._decoder = Decoder()
        self._inbox: deque[str | bytes] = deque()
        self._outbox = bytearray()
        self._closed_with: tuple[int, str] | None = None
        self._has_sent_close = False
        self._has_heard_close = False
        self._fault: Exception | None = None

        sock.setblocking(False)
        loop = gevent.get_hub().loop
        self._reader, self._writer = (
            loop.io(sock.fileno(), events) for events in (_READABLE, _WRITABLE)
        )
        self._reader.start(self._on_readable)
        settling.websockets.append(self)

    def __repr__(self) -> str:
        state = "open" if self._closed_with is None else f"closed {self._closed_with}"
        return f"<WebSocket {self.path} {state}>"

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abandon()

    # Sending

    def send(self, message: jsontext.Message, *, wait: bool = True) -> None:
        """Send one message: str as text, bytes as binary, a list or dict as JSON.

        Args:
            wait: whether to wait until its callback has returned.
        Raises:
            ConnectionClosed: the connection is closed.
            NotSettled: the callback took too long.
            Exception: raised by a callback.
        """
        content = jsontext.as_message(message)
        if self._memory is not None and self._memory.is_marked:
            content = marked(content)
        self.send_raw(masked(encode_message(content)), wait=wait)

    def send_json(self, data: object, *, wait: bool = True) -> None:
        """Send `data` as JSON text; otherwise like `send`."""
        self.send(jsontext.encode(data), wait=wait)

    def send_raw(self, data: bytes, *, wait: bool = True) -> None:
        """Send exactly these bytes, valid frames or not; otherwise like `send`."""
        if self._closed_with is not None:
            raise self._closed_error()
        self._write(data)
        if wait:
            self._settling.settle([self])

    # Receiving

    def receive(self, timeout: float | None = None) -> str | bytes:
        """Return the next message, and wait for it.

        Args:
            timeout: seconds; by default the client's.
        Raises:
            ReceiveTimeout: no message came in time.
            ConnectionClosed: the connection is closed, and no message is left.
            Exception: raised by a callback, if no message is left.
        """
        limit_s = self._settling.timeout_s if timeout is None else timeout
        if not self._inbox:
            self._settling.run_until_idle()
        self._settling.runner.until(self._can_tell, limit_s)
        if self._inbox:
            return self._inbox.popleft()

        self._settling.raise_error()
        if self._fault is not None:
            raise self._fault
        if self._closed_with is not None:
            raise self._closed_error()
        raise ReceiveTimeout(self.path, limit_s, self.received)

    def receive_json(self, timeout: float | None = None) -> Any:  # Any: whatever the JSON holds
        """Return the next message, decoded from JSON.

        Raises:
            ValueError: it isn't JSON; the error shows the message.
            As `receive`.
        """
        message = self.receive(timeout)
        try:
            return jsontext.decode(message)
        except ValueError as exc:
            raise ValueError(
                f"what came on {self.path} is no JSON: {listed([message])}; {exc}"
            ) from None

    def receive_all(self) -> list[str | bytes]:
        """Return all messages that are there once the app has settled.

        Raises as `TestClient.settle`.
        """
        messages = list(self.pending)
        self._inbox.clear()
        return messages

    def receive_nothing(self) -> None:
        """Check that no message is there once the app has settled.

        Raises:
            AssertionError: there is one.
            NotSettled, Exception: as `TestClient.settle`.
        """
        pending = self.pending
        if pending:
            raise AssertionError(f"expected no message on {self.path}, got {listed(pending)}")

    @property
    def pending(self) -> tuple[str | bytes, ...]:
        """The messages that the test has not asked for, once the app has settled.

        Raises as `TestClient.settle`.
        """
        self._settle_all()
        return tuple(self._inbox)

    # State

    @property
    def connection(self) -> Any:  # a Connection; None only before "open", which tests rarely see
        """The `Connection` that the callbacks get, to look at; None before "open"."""
        return self._route.connection

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server chose."""
        return self.headers.get("Sec-WebSocket-Protocol")

    @property
    def closed_with(self) -> tuple[int, str] | None:
        """Code and reason of the first close frame, once the app has settled; None while open.

        The code is 1006 if the connection broke without a close frame, and 1005 if the close frame
        had no code.
        """
        if self._closed_with is None:
            self._settle_all()
        return self._closed_with

    @property
    def position(self) -> str:
        """Where this client is, once the app has settled; "" without `since`, and before it knows.

        `client.websocket(path, since=ws.position)` comes back as the same client.
        """
        self._settle_all()
        return "" if self._memory is None else self._memory.position

    @property
    def resumed(self) -> bool | None:
        """What the server said of the past of a client with `since`, once the app has settled.

        None for a newcomer; True if it gets all that it missed; False if something of it is gone.
        """
        self._settle_all()
        return None if self._memory is None else self._memory.resumed

    @property
    def missed(self) -> bool:
        """Whether a client with `since` was told of a gap, once the app has settled.

        A page's `onMissed` runs then.
        """
        self._settle_all()
        return self._memory is not None and self._memory.missed

    # The end

    def wait_closed(self, timeout: float | None = None) -> tuple[int, str]:
        """Wait until the server has closed and "close" has run; return `closed_with`.

        Raises:
            ReceiveTimeout: the server didn't close in time.
            Exception: raised by a callback.
        """
        limit_s = self._settling.timeout_s if timeout is None else timeout
        self._settling.runner.until(
            lambda: self._settling.has_error or self._closed_with is not None, limit_s
        )
        self._settling.raise_error()
        if self._closed_with is None:
            raise ReceiveTimeout(self.path, limit_s, self.received, "close frame")
        self._finish()
        return self._closed_with

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Send a close frame, and return once "close" has returned; harmless if it is closed.

        If a callback still runs after a second, for instance one that never returns, the connection
        is broken.

        Args:
            code: 1000-1003, 1007-1014 or 3000-4999.
            reason: cut to 123 bytes of UTF-8.
        Raises:
            UsageError: the code is not allowed on the wire.
            NotSettled: the callbacks don't end.
            Exception: raised by a callback.
        """
        close_payload(code, reason)
        if self._closed_with is None:
            self._closed_with = int(code), reason
            self._send_close(code, reason)
        self._finish()
        self._settling.raise_error()

    def abort(self) -> None:
        """Break the connection without a close frame; return once "close" has returned."""
        if self._closed_with is None:
            self._closed_with = int(CloseCode.ABNORMAL), ""
        self._give_back()
        self._finish()
        self._settling.raise_error()

    def cut(self) -> None:
        """Lose the line, as in a tunnel: the same as `abort`, for a client that comes back."""
        self.abort()

    def abandon(self) -> None:
        """Close best-effort and raise nothing: the test has already failed."""
        if self._closed_with is None:
            self._closed_with = int(CloseCode.GOING_AWAY), ""
            self._send_close(CloseCode.GOING_AWAY)
        try:
            self._finish()
        except TimeoutError:
            self._give_back()

    def _finish(self) -> None:
        runner, route = self._settling.runner, self._route
        stays_in_open = self._may_stay_in_open and not route.is_opened

        if not runner.until(lambda: route.is_over, 0 if stays_in_open else CUT_AFTER_S):
            self._give_back()
            if not runner.until(lambda: route.is_over, self._settling.timeout_s):
                raise not_settled([self], self._settling.timeout_s)

        self._settling.run_until_idle()  # the server's close frame, and what "close" broadcast
        self._give_back()
        self._settling.run_until_idle()  # the server closes its half
        if self in self._settling.websockets:
            self._settling.websockets.remove(self)

    # For settling

    @property
    def is_busy(self) -> bool:
        """Whether the app still has work to do for this client."""
        route = self._route
        if route.is_over:
            return False
        if self._closed_with is not None:
            return True
        if not route.is_opened:
            return not self._may_stay_in_open
        return bool(route.running or self._outbox) or self._unread_bytes() > 0

    def describe_work(self) -> str:
        """Return a description of the work that the app still has to do."""
        return self._route.describe()

    # Behind these

    def _settle_all(self) -> None:
        self._settling.settle(self._settling.websockets)

    def _can_tell(self) -> bool:
        return (
            bool(self._inbox)
            or self._closed_with is not None
            or self._settling.has_error
            or self._fault is not None
        )

    def _closed_error(self) -> ConnectionClosed:
        assert self._closed_with is not None
        return ConnectionClosed(*self._closed_with, self._has_sent_close and self._has_heard_close)

    def _unread_bytes(self) -> int:
        """Return how much the server has not read yet; the kernel's overhead counts, too."""
        if self._socket is None:
            return 0
        answer = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
        return int(struct.unpack("i", answer)[0])

    def _send_close(self, code: int, reason: str = "") -> None:
        if not self._has_sent_close:
            self._has_sent_close = True
            self._write(masked(encode_close(code, reason)))

    def _write(self, data: bytes) -> None:
        self._outbox += data
        self._flush()

    def _flush(self) -> None:
        """Send what the kernel takes now, and the rest later in the hub; raise nothing."""
        sock = self._socket
        if sock is None:
            return

        while self._outbox:
            try:
                sent = sock.send(self._outbox)
            except BlockingIOError:
                self._writer.start(self._flush)
                return
            except OSError:  # the server has gone; reading finds out how
                sent = len(self._outbox)
            del self._outbox[:sent]

        self._writer.stop()

    def _on_readable(self) -> None:
        """Receive; runs in the hub, so no exception may leave."""
        if self._socket is None:
            return
        try:
            self._read()
        except (ProtocolError, ValueError) as exc:
            self._fault = exc
            self._give_back()
        self._settling.runner.notify()

    def _read(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""

        for event in self._decoder.feed(data):
            self._take(event)
        if not data:
            if self._closed_with is None:
                self._closed_with = int(CloseCode.ABNORMAL), ""
            self._give_back()

    def _take(self, event: Event) -> None:
        opcode, content = event
        if isinstance(content, tuple):
            self._has_heard_close = True
            if self._closed_with is None:
                self._closed_with = int(content[0]), content[1]
            self._send_close(content[0])

        elif opcode is Opcode.PING:
            assert isinstance(content, bytes)
            self._write(masked(encode_frame(Opcode.PONG, content)))
        elif opcode is not Opcode.PONG:
            self._take_message(content)

    def _take_message(self, content: str | bytes) -> None:
        memory = self._memory
        if memory is not None:
            was_marked = memory.is_marked
            message = memory.read(content)
            if memory.is_marked and not was_marked:
                self._write(masked(encode_message(memory.answer())))
            if message is None:
                return
            content = message
        self.received.append(content)
        self._inbox.append(content)

    def _give_back(self) -> None:
        """Close our half; harmless when repeated."""
        sock, self._socket = self._socket, None
        if sock is None:
            return

        for watcher in (self._reader, self._writer):
            watcher.stop()
            watcher.close()
        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the server closed first
        sock.close()
