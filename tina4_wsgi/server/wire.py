"""The socket of one HTTP connection: reading, writing and closing, with every wait bounded.

A wait lasts at most a patience in seconds, which waiting uses up and moving bytes may give back. So
a peer that stalls and one that drips single bytes are both cut, and a slow but honest one is not.
It costs one gevent timer per wait, no greenlet, and nothing at all when there is nothing to wait
for.
"""

from __future__ import annotations

import math
import socket
import ssl
import time
from typing import Any

from gevent import socket as gevent_socket

LEAST_BYTES_PER_S = 500  # that a client takes: slower than any modem, faster than a slow-loris
LEAST_BODY_BYTES_PER_S = 4_096
"""That a client sends of a body. What has come of it is kept meanwhile, so this is above what it
costs to hold many.
"""
# For the client to read a refusal and close, before what it still sends resets the connection.
LINGER_S = 2.0
LINGER_READS = 16
READ_BYTES = 65_536


def ip_of(address: Any) -> str:
    """Give the client's IP address, without what marks IPv4 on a socket for both; on UNIX sockets
    their name.
    """
    return (
        str(address[0]).removeprefix("::ffff:")
        if isinstance(address, tuple)
        else str(address or "unix")
    )


class _Cut(ConnectionError):
    """This server no longer waits for the client."""


class PeerGone(ConnectionError):
    """The client took no more of the response; an error of the wire, not of the application."""


class RequestReader(socket.SocketIO):
    """The raw side of a connection's buffered reader, with a deadline for what is awaited.

    Greenlets: one at a time.

    Attributes:
        has_begun: whether a byte has come since `await_request`.
    """

    def __init__(self, wire: Any) -> None:  # Any: gevent ships no types
        super().__init__(wire, "r")
        self._wire = wire
        self._patience_s: float | None = None
        self._most_s = 0.0
        self._credit_s_per_byte = 0.0
        self._left_s = math.inf
        self._is_cut = False
        self.has_begun = True

    def await_request(self, idle_s: float, head_s: float) -> None:
        """Wait for the first byte so long, and for the whole head so long from then on."""
        self._patience_s, self._most_s, self._credit_s_per_byte = idle_s, head_s, 0.0
        self._left_s = math.inf
        self.has_begun = False

    def await_body(self, patience_s: float, most_s: float) -> None:
        """Wait so long in all, and longer for a client that sends at the least rate, but never over
        `most_s`.

        What the application takes between two reads doesn't count.
        """
        self._patience_s = self._most_s = patience_s
        self._credit_s_per_byte = 1 / LEAST_BODY_BYTES_PER_S
        self._left_s = most_s
        self._is_cut = False
        self.has_begun = True

    def await_anything(self) -> None:
        """Wait for ever: the application speaks a protocol of its own, with its own deadlines."""
        self._patience_s = None

    def cut(self) -> None:
        """Let whoever reads see the end of the stream, after what has come already; until a body is
        awaited.
        """
        self._is_cut = True
        cancel_wait(self._wire)

    def readinto(self, buffer: Any, /) -> int | None:
        """Receive into `buffer`, waiting as long as patience lasts; 0 at the end of the stream.

        Raises:
            TimeoutError: patience is used up.
            OSError: the connection broke.
        """
        wire, patience_s = self._wire, self._patience_s
        if self._is_cut:
            return self._receive_what_is_there(buffer)
        if (
            wire.timeout == 0.0
        ):  # the application takes the connection over and looks without waiting
            return super().readinto(buffer)
        try:
            return self._receive(buffer, patience_s)
        except _Cut:
            return self._receive_what_is_there(buffer)

    def _receive_what_is_there(self, buffer: Any) -> int:
        self._wire.timeout = 0.0
        try:
            return int(self._wire.recv_into(buffer))
        except (BlockingIOError, ssl.SSLWantReadError):
            return 0
        finally:
            self._wire.timeout = None

    def _receive(self, buffer: Any, patience_s: float | None) -> int:
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


def send(wire: Any, data: bytes, most_s: float) -> None:
    """Send all of `data`, however long it takes a client that keeps taking at the least rate.

    Args:
        most_s: how long the client may take nothing.
    Raises:
        TimeoutError: it took nothing, or too little.
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


def cancel_wait(wire: Any) -> None:
    """Raise an OSError in the greenlet that waits to read, if one does.

    Not `shutdown(SHUT_RD)`: the end of the stream amid a TLS session makes OpenSSL send a fatal
    alert.
    """
    wire.hub.cancel_wait(wire._read_event, _Cut)


def say_goodbye(wire: Any, lingers: bool) -> None:
    """End the sending side, so that the client gets all of the answer; closing is the caller's.

    Args:
        lingers: wait a moment for the client to close. Bytes of its own that are left unread when
            the socket is closed reset the connection, and the answer with it.
    """
    try:
        if hasattr(wire, "unwrap"):
            _notify_tls(wire)
        if lingers:
            _linger(wire)
        else:
            wire._sock.recv(READ_BYTES)
    except (OSError, ValueError):  # the latter: no TLS session left
        pass  # the client was quicker


def _notify_tls(wire: Any) -> None:
    """Send the close_notify of TLS, without waiting for the client's."""
    wire.settimeout(0.0)
    try:
        wire.unwrap()
    except OSError:
        pass


def _linger(wire: Any) -> None:
    wire._sock.shutdown(socket.SHUT_WR)
    give_up_at = time.monotonic() + LINGER_S
    for _ in range(LINGER_READS):
        wire.timeout = max(0.001, give_up_at - time.monotonic())
        if not gevent_socket.socket.recv(wire, READ_BYTES):  # raw under TLS: nobody looks at it
            break
