"""Stand-ins for a native socket that a server holds, once its connection is taken.

The server's object stays what it is, an object that the server has under many names, and becomes
one of another class: of a `_Shell`, which takes whatever is written and has nothing to read; before
that of a `_Door`, where middlewares around the app decide when, and with which fields, the server
writes the 101. See `socket_shell`, which does the same to gevent's sockets.

A TLS session belongs to its socket object (CPython keeps both together), so that object is kept and
used behind the shell; of a plain socket only the descriptor is.
"""

from __future__ import annotations

import _socket
import socket
import ssl
import weakref
from typing import TYPE_CHECKING, Any

from ..hub.tls import tls_stream
from .mute import Mute, PolledMute
from .switching import HEAD_END, INTERIM_HEADS, SWITCHING_HEADS

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from ..hub.stream import Stream

NativeSocket = Any
"""A socket whose class changes, or what is inside of one."""

_Socket: NativeSocket = _socket.socket
"""The C class below `socket.socket`, whose methods no shell hides."""


# None of the methods takes what only other callers than servers pass.
class _Shell(Mute, socket.socket):  # type: ignore[misc]
    __slots__ = ()


class _PolledShell(PolledMute, socket.socket):  # type: ignore[misc]
    __slots__ = ()


class _TLSShell(Mute, ssl.SSLSocket):  # type: ignore[misc]
    pass


class _PolledTLSShell(PolledMute, ssl.SSLSocket):  # type: ignore[misc]
    pass


class _DoorState:
    """What a door before one socket waits for; see `socket_shell.Door`."""

    def __init__(
        self, on_switching: Callable[[bytes], None], on_other: Callable[[bytes], None]
    ) -> None:
        self.head = b""
        self.on_switching = on_switching
        self.on_other = on_other


_doors: weakref.WeakKeyDictionary[NativeSocket, _DoorState] = weakref.WeakKeyDictionary()


class _Guarded:
    """The methods by which a server answers, each past the door."""

    __slots__ = ()

    def send(self, data: Buffer, flags: int = 0, /) -> int:
        """Write what isn't stopped."""
        if _stops(self, bytes(data)):
            return memoryview(data).nbytes
        return int(self.send(data, flags))  # the class is the socket's own again

    def sendall(self, data: Buffer, flags: int = 0, /) -> None:
        """Write what isn't stopped."""
        if not _stops(self, bytes(data)):
            self.sendall(data, flags)

    def shutdown(self, how: int, /) -> None:
        """Note that no answer comes any more, and do it."""
        _give_up(self, b"")
        self.shutdown(how)

    def close(self) -> None:
        """Note that no answer comes any more, and do it."""
        _give_up(self, b"")
        self.close()


class _Door(_Guarded, socket.socket):
    __slots__ = ()


class _TLSDoor(_Guarded, ssl.SSLSocket):
    pass


def is_pythons(sock: object) -> bool:
    """Return whether this is a socket of Python's own, taken or not."""
    return isinstance(sock, _Socket)


def fits(sock: object) -> bool:
    """Return whether this is a socket of Python's own whose class may change."""
    return type(sock) in (socket.socket, ssl.SSLSocket) and not hasattr(sock, "_detach_socket")


def is_taken(sock: object) -> bool:
    """Return whether the connection was taken, or is about to be."""
    return isinstance(sock, Mute | _Guarded)


def place_door(
    sock: NativeSocket, on_switching: Callable[[bytes], None], on_other: Callable[[bytes], None]
) -> Callable[[], None]:
    """Stand before a socket until the server has answered; see `socket_shell.Door`.

    Returns:
        What leaves the socket as it was.
    """
    _doors[sock] = _DoorState(on_switching, on_other)
    sock.__class__ = _TLSDoor if isinstance(sock, ssl.SSLSocket) else _Door
    return lambda: _remove(sock)


def detach(sock: NativeSocket, is_prompt: bool, is_polled: bool = False) -> Stream:
    """Leave the server a shell, and give what was inside.

    Args:
        is_prompt: whether the socket is known to be without Nagle's delay.
        is_polled: whether the server looks once more for what there is to read, with a selector.
    """
    inside: NativeSocket
    if isinstance(sock, ssl.SSLSocket):
        inside = _Inside(sock)
        stream: Stream = tls_stream(inside, _session_of(sock))
        sock.__class__ = _PolledTLSShell if is_polled else _TLSShell
    else:
        stream = inside = socket.socket(sock.family, sock.type, sock.proto, sock.detach())
        sock.__class__ = _PolledShell if is_polled else _Shell

    inside.setblocking(False)
    if not is_prompt:
        try:
            inside.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            pass  # a UNIX socket has no such delay
    return stream


class _Inside:
    """The kernel's socket inside of a TLS socket whose class is a shell's."""

    __slots__ = ("_sock",)

    def __init__(self, sock: NativeSocket) -> None:
        self._sock = sock

    def fileno(self) -> int:
        return int(_Socket.fileno(self._sock))

    def setblocking(self, flag: bool) -> None:
        _Socket.setblocking(self._sock, flag)

    def setsockopt(self, level: int, option: int, value: int | bytes, /) -> None:
        _Socket.setsockopt(self._sock, level, option, value)

    def shutdown(self, how: int, /) -> None:
        _Socket.shutdown(self._sock, how)

    def close(self) -> None:
        _Socket.close(self._sock)


def _stops(sock: NativeSocket, part: bytes) -> bool:
    """Return whether a door keeps this part of the answer; a whole 101 opens it."""
    state = _doors[sock]
    head = state.head + part

    if head.startswith(SWITCHING_HEADS):
        state.head = head
        end = head.find(HEAD_END)
        if end >= 0:
            _remove(sock)
            state.on_switching(head[:end])
        return True

    if not head.startswith(INTERIM_HEADS):
        _give_up(sock, head)
        return False
    # An interim answer passes, and the door stays.
    session = _session_of(sock)
    _Socket.sendall(sock, part) if session is None else session.write(part)
    return True


def _session_of(sock: NativeSocket) -> NativeSocket:
    """Return the TLS session of a socket; None for a plain one."""
    return getattr(sock, "_sslobj", None)


def _give_up(sock: NativeSocket, answer: bytes) -> None:
    state = _doors[sock]
    _remove(sock)
    state.on_other(answer)


def _remove(sock: NativeSocket) -> None:
    if _doors.pop(sock, None) is not None:
        sock.__class__ = ssl.SSLSocket if isinstance(sock, ssl.SSLSocket) else socket.socket
