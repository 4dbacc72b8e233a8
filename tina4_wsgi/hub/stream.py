"""A TLS connection with the face of a non-blocking plain socket.

`Transport` speaks to either: `recv` and `send` raise BlockingIOError when they would wait.
"""

from __future__ import annotations

import socket
import ssl
import struct
from typing import Any, Protocol

_LARGEST_RECORD_BYTES = 16_384  # RFC 8446 §5.1
_NO_LINGER = struct.pack("ii", 1, 0)  # SO_LINGER on, for 0 s


class Stream(Protocol):
    """What a transport needs of a connected, non-blocking socket, as `socket.socket` has it."""

    def recv(self, size_bytes: int, /) -> bytes: ...
    def send(self, data: bytes | memoryview, /) -> int: ...
    def fileno(self) -> int: ...
    def shutdown(self, how: int, /) -> None: ...
    def setsockopt(self, level: int, option: int, value: int | bytes, /) -> None: ...
    def close(self) -> None: ...


class TLSStream:
    """A socket whose TLS session was set up by the WSGI server.

    Args:
        sock: the non-blocking socket below.
        session: the established OpenSSL session that belongs to it (`ssl.SSLSocket._sslobj`).
    """

    __slots__ = ("_session", "_sock", "close", "fileno", "setsockopt")

    def __init__(
        self, sock: Any, session: Any
    ) -> None:  # Any: the C classes of ssl have no public names
        self._sock = sock
        self._session = session
        self.fileno = sock.fileno
        self.setsockopt = sock.setsockopt
        self.close = sock.close

    def recv(self, size_bytes: int, /) -> bytes:
        """Read what has arrived, each TLS record to its end, so that nothing is pending afterwards.

        Args:
            size_bytes: at least that of a TLS record, 16 384.
        Returns:
            1 to about `size_bytes` bytes, b"" at the end.
        Raises:
            BlockingIOError: nothing there.
            OSError: the connection is broken.
        """
        parts: list[bytes] = []
        room = size_bytes
        while room >= _LARGEST_RECORD_BYTES or not parts:
            try:
                part = self._session.read(room)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as exc:
                if not parts:
                    raise BlockingIOError from exc
                break
            except ssl.SSLZeroReturnError:
                break
            except ssl.SSLEOFError:
                break  # the peer left without a close_notify, as most do
            if not part:
                break
            parts.append(part)
            room -= len(part)
        return b"".join(parts)

    @property
    def has_pending(self) -> bool:
        """Whether OpenSSL holds decrypted bytes, for which no descriptor becomes readable."""
        return bool(self._session.pending())

    def send(self, data: bytes | memoryview, /) -> int:
        """Write what is taken at once; see `socket.send`."""
        try:
            return int(self._session.write(data))
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError) as exc:
            raise BlockingIOError from exc

    def shutdown(self, how: int, /) -> None:
        """Say close_notify, then shut the socket down; see `socket.shutdown`."""
        try:
            self._session.shutdown()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass  # said, and the peer's own is not waited for
        except ssl.SSLError:
            pass  # a broken session has nothing to say any more
        self._sock.shutdown(how)


def reset_on_close(stream: Stream) -> None:
    """Have `close` drop what the kernel still holds, and tell the peer by a reset."""
    try:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    except OSError:
        pass  # it is closed all the same
