"""A TLS connection with the interface of a plain non-blocking socket.

`Transport` uses either one: `recv` and `send` raise BlockingIOError where they would wait.
"""

from __future__ import annotations

import socket
import ssl
import struct
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

_LARGEST_RECORD_BYTES = 16_384  # RFC 8446 §5.1

FIRST_TLS_READ_BYTES = _LARGEST_RECORD_BYTES
"""How many bytes to ask a `TLSStream` for until it returns this many: when more are asked for, it
looks for a second record, and OpenSSL takes long to say that there is none.
"""
_WOULD_WAIT = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
# Most peers close without a close_notify. A read may have to write, and find the line reset.
_ENDS = (ssl.SSLZeroReturnError, ssl.SSLEOFError, ConnectionError)
_NO_LINGER = struct.pack("ii", 1, 0)  # SO_LINGER on, for 0 s


class Stream(Protocol):
    """The methods of a connected, non-blocking `socket.socket` that a transport calls."""

    def recv(self, size_bytes: int, /) -> bytes: ...
    def send(self, data: bytes | memoryview, /) -> int: ...
    def fileno(self) -> int: ...
    def shutdown(self, how: int, /) -> None: ...
    def setsockopt(self, level: int, option: int, value: int | bytes, /) -> None: ...
    def close(self) -> None: ...


class SecureStream(Stream, Protocol):
    """The methods of a TLS connection.

    Attributes:
        has_pending: whether OpenSSL holds bytes, which don't make the descriptor readable.
    """

    @property
    def has_pending(self) -> bool: ...


class TLSSession(Protocol):
    """The methods of an established TLS session, `ssl.SSLSocket._sslobj`, whose class has no public
    name.
    """

    def read(self, size_bytes: int, /) -> bytes: ...
    def write(self, data: bytes | memoryview, /) -> int: ...
    def pending(self) -> int: ...
    def shutdown(self) -> object: ...


class TLSStream:
    """A socket whose TLS session the WSGI server has set up.

    Args:
        sock: the non-blocking socket below.
        session: of this socket.
        holds_more: whether OpenSSL holds bytes, decrypted or not; None where it doesn't read ahead.
    """

    __slots__ = ("_holds_more", "_session", "_sock", "close", "fileno", "setsockopt")

    def __init__(
        self,
        sock: socket.socket,
        session: TLSSession,
        holds_more: Callable[[], int] | None = None,
    ) -> None:
        self._sock = sock
        self._session = session
        self._holds_more = holds_more
        self.fileno = sock.fileno
        self.setsockopt = sock.setsockopt
        self.close = sock.close

    def recv(self, size_bytes: int, /) -> bytes:
        """Read what has arrived. What OpenSSL holds afterwards is less than a record, unless
        `size_bytes` are returned.

        Args:
            size_bytes: at least the size of a TLS record, 16 384.
        Returns:
            1 to about `size_bytes` bytes, b"" at the end of the stream.
        Raises:
            BlockingIOError: nothing has arrived.
            OSError: the connection is broken.
        """
        try:
            part = self._session.read(size_bytes)
        except _WOULD_WAIT as exc:
            raise BlockingIOError from exc
        except _ENDS:
            return b""
        if self._is_empty(room := size_bytes - len(part)):
            return part

        parts = [part]
        while part and not self._is_empty(room):
            try:
                part = self._session.read(room)
            except (*_WOULD_WAIT, *_ENDS):
                break
            parts.append(part)
            room -= len(part)
        return b"".join(parts)

    def _is_empty(self, room: int) -> bool:
        """Return whether no further read is worth its while."""
        if self._holds_more is None:
            # Without reading ahead, OpenSSL holds nothing as long as there is room for a record.
            return room < _LARGEST_RECORD_BYTES
        return not room or not self._holds_more()

    @property
    def has_pending(self) -> bool:
        """Whether OpenSSL holds bytes; see `SecureStream`."""
        if self._holds_more is not None:
            return bool(self._holds_more())
        return bool(self._session.pending())

    def send(self, data: bytes | memoryview, /) -> int:
        """Write as much as the kernel takes without waiting; see `socket.send`."""
        try:
            return int(self._session.write(data))
        except _WOULD_WAIT as exc:
            raise BlockingIOError from exc

    def shutdown(self, how: int, /) -> None:
        """Send close_notify, then shut the socket down; see `socket.shutdown`."""
        shut_down(self._sock, self._session, how)


def shut_down(sock: socket.socket, session: TLSSession, how: int) -> None:
    """Send a session's close_notify, then shut its socket down."""
    try:
        session.shutdown()
    except _WOULD_WAIT:
        pass  # sent; nothing waits for the peer's own close_notify
    except ssl.SSLError:
        pass  # a broken session can send nothing any more
    sock.shutdown(how)


def reset_on_close(stream: Stream) -> None:
    """Make `close` reset the connection and drop what the kernel has not sent yet."""
    try:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    except OSError:
        pass  # the stream is closed all the same
