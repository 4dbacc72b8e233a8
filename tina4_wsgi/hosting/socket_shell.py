"""Stand-ins for the socket inside a server's socket object, once its connection is taken.

gevent's sockets keep the kernel's in `_sock`, and a TLS session in `_sslobj`. Two things may stand
there instead:

* A `Door`, where middlewares around the app decide when, and with which fields, the server writes
  the 101: it stops that answer, and lets any other pass. So no frame can precede the 101, whatever
  is done to `start_response`.
* A `Shell` behind that: it takes whatever is written and has nothing to read, like a connection
  whose client has left. So the server needs no signal to leave the connection alone, and nothing
  that it does to it is an error.

Invariants: no `Door` outlives the answer; private attributes of gevent's sockets are touched here
and in `places`.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from ..hub.tls import tls_stream
from .mute import Mute, PolledMute
from .switching import HEAD_END, INTERIM_HEADS, SWITCHING_HEADS

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from ..hub.stream import Stream

GeventSocket = Any
"""gevent ships no types, and its private attributes are what is touched here."""


class Shell(Mute):
    """Stands for the kernel's socket that was taken out of one of gevent's.

    False, as gevent's own closed sockets are: gevent has nothing to close here.

    Args:
        sock: the one that was taken out.
    """

    __slots__ = ("family", "proto", "type")

    def __init__(self, sock: GeventSocket) -> None:
        self.family, self.type, self.proto = sock.family, sock.type, sock.proto

    def __bool__(self) -> bool:
        return False


class PolledShell(PolledMute, Shell):
    """The same for a server that asks a selector whether there is more to read."""

    __slots__ = ()


def fits(sock: GeventSocket) -> bool:
    """Return whether this is one of gevent's sockets."""
    return hasattr(sock, "_detach_socket")


def is_taken(sock: GeventSocket) -> bool:
    """Return whether the connection was taken, or is about to be."""
    return isinstance(getattr(sock, "_sock", None), Shell | _Side)


def place_door(
    sock: GeventSocket, on_switching: Callable[[bytes], None], on_other: Callable[[bytes], None]
) -> Callable[[], None]:
    """Put a `Door` before a socket; return what leaves the socket as it was."""
    return Door(sock, on_switching, on_other).remove


def detach(sock: GeventSocket, is_prompt: bool, is_polled: bool = False) -> Stream:
    """Leave the server a shell in its socket, and give what was inside.

    Args:
        is_prompt: whether the socket is known to be without Nagle's delay.
        is_polled: whether the server looks once more for what there is to read, with a selector.
    """
    session = getattr(sock, "_sslobj", None)
    raw = sock._sock
    if session is not None:
        sock._sslobj = None

    sock._closed = True
    sock._detach_socket("detached")
    sock._sock = PolledShell(raw) if is_polled else Shell(raw)

    if raw.gettimeout() != 0:  # it is 0 within gevent's sockets; saying so again is a system call
        raw.setblocking(False)
    if not is_prompt:
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            pass  # a UNIX socket has no such delay
    return raw if session is None else tls_stream(raw, session)


class Door:
    """Stands before a gevent socket's inside until the server has answered.

    Interim answers (100, 103) pass. A 101 doesn't: the socket is as it was when `on_switching` is
    called. Any other answer passes as well, and then the socket is as it was.

    Args:
        sock: gevent's.
        on_switching: called once the server has written the whole head of a 101, with that head; in
            the greenlet that writes. What it raises reaches the server.
        on_other: called with the beginning of another answer; with b"" when the server closes
            without one.
    """

    def __init__(
        self,
        sock: GeventSocket,
        on_switching: Callable[[bytes], None],
        on_other: Callable[[bytes], None],
    ) -> None:
        self._sock = sock
        self._head = b""
        self._on_switching = on_switching
        self._on_other = on_other
        self._inside = sock._sock
        self._session = getattr(sock, "_sslobj", None)
        sock._sock = _Side(self._inside, self)
        if self._session is not None:
            sock._sslobj = _Side(self._session, self)

    def remove(self) -> None:
        """Leave the socket as it was."""
        self._sock._sock = self._inside
        if self._session is not None:
            self._sock._sslobj = self._session

    def pass_on(self, send: Callable[..., int], data: Buffer, *flags: int) -> int:
        """Take what the server writes, or send it; return how many bytes were taken.

        Anything but a 101 is sent by `send`.
        """
        part = bytes(data)
        head = self._head + part

        if head.startswith(SWITCHING_HEADS):
            self._head = head
            end = head.find(HEAD_END)
            if end >= 0:
                self.remove()
                self._on_switching(head[:end])
            return len(part)

        if not head.startswith(INTERIM_HEADS):
            self.remove()
            self._on_other(head)
        return send(data, *flags)

    def close(self) -> None:
        """Note that the server has closed the socket without an answer."""
        if isinstance(self._sock._sock, _Side):
            self.remove()
        self._on_other(b"")


class _Side:
    """A gevent socket's inner socket, but the door decides on writing and closing."""

    def __init__(self, inside: GeventSocket, door: Door) -> None:
        self._inside = inside
        self._door = door

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inside, name)

    def send(self, data: Buffer, *flags: int) -> int:
        """Write to a plain socket."""
        return self._door.pass_on(self._inside.send, data, *flags)

    def write(self, data: Buffer) -> int:
        """Write to a TLS session."""
        return self._door.pass_on(self._inside.write, data)

    def close(self) -> None:
        """Close the socket."""
        self._inside.close()
        self._door.close()
