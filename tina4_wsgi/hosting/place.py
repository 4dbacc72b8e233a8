"""Where a server keeps the socket of one handshake, and how to take it from there.

Each kind of server has a kind of place. A place is found before anything is answered, so a
handshake that can't be taken over is refused like any other.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import Refused
from ..hub.native import get_ident
from . import native_shell, socket_shell
from .switching import SWITCHING, Taken

if TYPE_CHECKING:
    import io
    from collections.abc import Callable

    from _typeshed.wsgi import StartResponse

    from ..hub.stream import Stream
    from ..spy import Spy
    from .switching import Fields

    Switch = Callable[[bytes], None]

AnySocket = Any
"""gevent's, which ships no types, or one of Python's own, whose class changes."""

NEEDS = (
    "this server can't hand over its sockets; run it under `tina4-wsgi serve`, gunicorn, waitress "
    "or uWSGI, Werkzeug's or Django's development server, or a gevent.pywsgi server"
)
NEEDS_INPUT = (
    "a middleware around this app has replaced wsgi.input, which holds what the client sent behind "
    "its handshake; let it leave requests with an Upgrade field alone"
)
NEEDS_ONE_CALL = (
    "this handshake was answered before; a middleware around this app calls it twice for one "
    "request, let it leave requests with an Upgrade field alone"
)
NEEDS_ITS_THREAD = (
    "a middleware around this app calls it in another thread than its server's, let it leave "
    "requests with an Upgrade field alone"
)


class _Shells(Protocol):
    """What stands in for a taken socket: a module for gevent's sockets, one for Python's."""

    def fits(self, sock: AnySocket) -> bool: ...
    def is_taken(self, sock: AnySocket) -> bool: ...
    def place_door(
        self, sock: AnySocket, on_switching: Switch, on_other: Switch
    ) -> Callable[[], None]: ...
    def detach(self, sock: AnySocket, is_prompt: bool, is_polled: bool = False) -> Stream: ...


class Place:
    """The base of all: a socket that the server has as an object.

    Args:
        sock: gevent's or Python's own.
        body: `wsgi.input`.

    Attributes:
        spy: a test client that observes, None in production; it has no wire for the answer.
        has_answered: whether the server has sent its 101 before it asked us. Then nothing can be
            refused or agreed on any more.
        takes_upgrade: whether the server lets an app send Upgrade and Connection.
    """

    spy: Spy | None = None
    has_answered = False
    takes_upgrade = True

    # Whether the socket is without Nagle's delay, and whether the server asks a selector about it
    # behind its answer.
    _is_prompt = False
    _is_polled = False

    def __init__(self, sock: AnySocket, body: Any) -> None:  # Any: each server has its own
        self.sock = sock
        self._body = body
        self._shell: _Shells = native_shell if native_shell.is_pythons(sock) else socket_shell

    @property
    def is_native(self) -> bool:
        """Whether the socket is one of Python's own, and so the request runs without a hub."""
        return self._shell is native_shell

    def check(self, software: str) -> None:
        """See whether the connection can be taken.

        Args:
            software: SERVER_SOFTWARE.
        Raises:
            Refused: 400, the client has sent what the server can't give back; 500, a middleware
                asks for the second time, or in another thread; 501, the server can't hand this
                connection over, or a middleware hides what has been read from it.
        """
        if self._hides_input():
            raise Refused(501, NEEDS_INPUT, detail=repr(type(self._body)))
        if self._is_taken():
            raise Refused(500, NEEDS_ONE_CALL)
        if not self._shell.fits(self.sock):
            raise Refused(501, NEEDS, detail=software)
        if self._is_elsewhere():
            raise Refused(500, NEEDS_ITS_THREAD)

    def is_taken_at_once(self, start_response: StartResponse) -> bool:
        """Return whether the connection is served as soon as it is answered, without any wait."""
        return False

    def with_socket(self) -> Place:
        """Return the same place with a socket object, which our own server has none of."""
        return self

    def is_servers_own(self, start_response: StartResponse) -> bool:
        """Return whether this is the server's `start_response`, so that the 101 is sure."""
        server = getattr(start_response, "__self__", None)
        # gunicorn's response has the socket as `sock`, pywsgi's handler as `socket`.
        return self.sock is getattr(server, "sock", None) or self.sock is getattr(
            server, "socket", None
        )

    def answer(self, start_response: StartResponse, fields: Fields) -> bytes:
        """Have the server answer 101, by its own `start_response`.

        Returns:
            The bytes that it leaves to us.
        """
        start_response(SWITCHING, fields)(b"")
        return b""

    def place_door(self, on_switching: Switch, on_other: Switch) -> Callable[[], None]:
        """Wait for the server's answer; see `socket_shell.Door`.

        Returns:
            What undoes that.
        """
        return self._shell.place_door(self.sock, on_switching, on_other)

    def take(self, head: bytes) -> Taken:
        """Take the connection, and leave the server a shell.

        Args:
            head: of the answer, where the server hasn't sent it.
        """
        early = self.read_ahead()
        return Taken(self._detach(), early, head)

    def read_ahead(self) -> bytes:
        """Take what the server has read behind the handshake."""
        return take_buffered(self._body, self.sock)

    def _hides_input(self) -> bool:
        return False

    def _is_taken(self) -> bool:
        return self._shell.is_taken(self.sock)

    def _is_elsewhere(self) -> bool:
        return not self.is_native and self.sock.hub.thread_ident != get_ident()

    def _detach(self) -> Stream:
        return self._shell.detach(self.sock, self._is_prompt, self._is_polled)


def take_buffered(reader: io.BufferedReader, sock: AnySocket) -> bytes:
    """Empty a buffered reader; with nothing in it, `peek` reads once, and must not wait."""
    timeout = sock.gettimeout()
    sock.settimeout(0)

    try:
        data: bytes = reader.read(len(reader.peek(1)))
    except (BlockingIOError, ssl.SSLWantReadError):
        data = b""
    except OSError:
        data = b""  # the peer has gone; the transport will find out
    finally:
        sock.settimeout(timeout)
    return data
