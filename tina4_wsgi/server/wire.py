"""The socket of one HTTP connection: reading, writing and closing, with every wait bounded.

Each wait has a patience in seconds: waiting uses it up, and bytes that move may restore some of it.
That cuts a peer that stalls and one that drips single bytes, but not a slow and honest one. A wait
costs one gevent timer, no greenlet, and nothing when there is nothing to wait for.
"""

from __future__ import annotations

import math
import socket
import ssl
import time
from typing import TYPE_CHECKING, TypeAlias

from gevent import socket as gevent_socket

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from gevent import ssl as gevent_ssl

    from .listening import SocketAddress

    Wire: TypeAlias = "gevent_socket.socket | gevent_ssl.SSLSocket"

LEAST_BYTES_PER_S = 500
"""Lowest rate at which a client may take a response: slower than any modem, not than slow-loris."""

LEAST_BODY_BYTES_PER_S = 4_096
"""Lowest rate at which a client may send a body, whose bytes are kept meanwhile."""

LINGER_S = 2.0
"""Time for a client to read a refusal and close, before its unread bytes reset the connection."""

LINGER_READS = 16
READ_BYTES = 65_536


def ip_of(address: SocketAddress) -> str:
    """Return a client's IP address, without the prefix "::ffff:"; for a UNIX socket a name."""
    if isinstance(address, tuple):
        return str(address[0]).removeprefix("::ffff:")
    return str(address or "unix")


class _Cut(ConnectionError):
    """The server stopped waiting for the client."""


class PeerGone(ConnectionError):
    """The client took no more of the response: no error of the application."""


class RequestReader(socket.SocketIO):
    """The raw side of a connection's buffered reader, with a deadline for each wait.

    Greenlets: one at a time.

    Args:
        wire: the socket.
        early: what has been received already.

    Attributes:
        has_begun: whether a byte has arrived since `await_request`.
    """

    def __init__(self, wire: Wire, early: bytes = b"") -> None:
        super().__init__(wire, "r")
        self._wire = wire
        self._early = early
        self._patience_s: float | None = None
        self._most_s = 0.0
        self._credit_s_per_byte = 0.0
        self._left_s = math.inf
        self._is_cut = False
        self.has_begun = True

    def await_request(self, idle_s: float, head_s: float) -> None:
        """Wait `idle_s` for the first byte, and from then on `head_s` for the whole head."""
        self._patience_s, self._most_s, self._credit_s_per_byte = idle_s, head_s, 0.0
        self._left_s = math.inf
        self.has_begun = False

    def await_body(self, patience_s: float, most_s: float) -> None:
        """Wait `patience_s` in all, or up to `most_s` for a client that sends at the least rate.

        Time that the application spends between two reads doesn't count.
        """
        self._patience_s = self._most_s = patience_s
        self._credit_s_per_byte = 1 / LEAST_BODY_BYTES_PER_S
        self._left_s = most_s
        self._is_cut = False
        self.has_begun = True

    def await_anything(self) -> None:
        """Wait for ever: the application speaks a protocol with deadlines of its own."""
        self._patience_s = None

    def cut(self) -> None:
        """End the stream for readers, after the bytes that have arrived; until `await_body`."""
        self._is_cut = True
        cancel_wait(self._wire)

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        """Receive into `buffer`, and wait while patience lasts; return 0 at the end of the stream.

        Raises:
            TimeoutError: the patience is used up.
            OSError: the connection broke.
        """
        if self._early:
            return self._take_early(memoryview(buffer))
        wire, patience_s = self._wire, self._patience_s
        if self._is_cut:
            return self._receive_what_is_there(buffer)
        if wire.timeout == 0.0:
            # The application takes the connection over, and reads without waiting.
            return super().readinto(buffer)

        try:
            return self._receive(buffer, patience_s)
        except _Cut:
            return self._receive_what_is_there(buffer)

    def give_back(self) -> bytes:
        """Return what has been received already and not been read."""
        early, self._early = self._early, b""
        return early

    def _take_early(self, room: memoryview) -> int:
        part = self._early[: len(room)]
        self._early = self._early[len(part) :]
        room[: len(part)] = part
        return len(part)

    def _receive_what_is_there(self, buffer: WriteableBuffer) -> int:
        self._wire.timeout = 0.0
        try:
            return int(self._wire.recv_into(buffer))
        except (BlockingIOError, ssl.SSLWantReadError):
            return 0
        finally:
            self._wire.timeout = None

    def _receive(self, buffer: WriteableBuffer, patience_s: float | None) -> int:
        wire = self._wire
        if patience_s is None:
            wire.timeout = None
            return int(wire.recv_into(buffer))
        wait_s = min(patience_s, self._left_s)
        if wait_s <= 0:
            raise TimeoutError("the client is too slow")

        wire.timeout = wait_s
        began = time.monotonic()
        count: int = wire.recv_into(buffer)

        if self.has_begun:
            waited_s = time.monotonic() - began
            self._left_s -= waited_s
            self._patience_s = min(
                self._most_s, patience_s - waited_s + count * self._credit_s_per_byte
            )
        elif count:
            self.has_begun = True
            self._patience_s = self._most_s
        return count


def send(wire: Wire, data: bytes, most_s: float) -> None:
    """Send all of `data`, however long a client takes for it that keeps the least rate.

    Args:
        most_s: longest time in which the client may take nothing.
    Raises:
        TimeoutError: the client took nothing, or too little.
        PeerGone: the connection broke.
    """
    left, patience_s = memoryview(data), most_s
    while left:
        if patience_s <= 0:
            raise TimeoutError("the client is too slow")

        wire.timeout = patience_s
        began = time.monotonic()
        try:
            sent = wire.send(left)
        except TimeoutError:
            raise
        except OSError as exc:
            raise PeerGone(str(exc)) from exc

        left = left[sent:]
        gained_s = sent / LEAST_BYTES_PER_S - (time.monotonic() - began)
        patience_s = min(most_s, patience_s + gained_s)


def cancel_wait(wire: Wire) -> None:
    """Raise an OSError in the greenlet that waits to read, if one does.

    `shutdown(SHUT_RD)` won't do: when the stream ends amid a TLS session, OpenSSL sends a fatal
    alert.
    """
    wire.hub.cancel_wait(wire._read_event, _Cut)


def say_goodbye(wire: Wire, lingers: bool) -> None:
    """End the sending side, so that the client gets the whole response; the caller closes.

    Args:
        lingers: whether to wait a moment for the client to close. Bytes of the client that nobody
            has read when the socket is closed reset the connection, and the response is lost.
    """
    try:
        if hasattr(wire, "unwrap"):
            _notify_tls(wire)
        if lingers:
            _linger(wire)
        else:
            wire._sock.recv(READ_BYTES)
    except (OSError, ValueError):  # ValueError: the TLS session has ended
        pass  # the client closed first


def _notify_tls(wire: Wire) -> None:
    """Send TLS's close_notify, without waiting for the client's."""
    wire.settimeout(0.0)
    try:
        wire.unwrap()
    except OSError:
        pass


def _linger(wire: Wire) -> None:
    wire._sock.shutdown(socket.SHUT_WR)
    give_up_at = time.monotonic() + LINGER_S
    for _ in range(LINGER_READS):
        wire.timeout = max(0.001, give_up_at - time.monotonic())
        # Under TLS this reads raw bytes; they are only dropped.
        if not gevent_socket.socket.recv(wire, READ_BYTES):
            break
