"""Handing upgrades to a legacy application as `environ["wsgi.websocket"]`.

For applications that are made for gevent-websocket: those that read that key, and Flask-SocketIO in
its gevent mode, since python-engineio asks for it wherever gevent-websocket is installed. The
connection stays in the greenlet of its request, as with gevent-websocket's own worker, and nothing
of it is ours but the handshake and the end.
"""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Any

from ..errors import Refused
from ..hosting.refusals import path_for_log
from ..hosting.switching import Answered
from ..hosting.takeover import KeptConnection, find_place
from ..hosting.uwsgi import UwsgiPlace
from ..protocol.grammar import split_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from ..hosting.socket_shell import GeventSocket
    from ..protocol.handshake import Handshake

logger = logging.getLogger("tina4_wsgi.upgrade")

_GOING_AWAY = b"\x88\x02\x03\xe9"  # a close frame with code 1001
_BUFFER_BYTES = 8_192
_NEEDS_GEVENT = (
    "this path is served by gevent-websocket, which needs a gevent worker; "
    "run it under `tina4-wsgi serve` or `gunicorn -k gevent`"
)


def is_below(path: str, prefixes: Iterable[str]) -> bool:
    """Return whether `path`, as WSGI has it, is one of `prefixes` or below one.

    A slash at their ends doesn't count.
    """
    return any(f"{path}/".startswith(f"{_as_wsgi(prefix).rstrip('/')}/") for prefix in prefixes)


def _as_wsgi(text: str) -> str:
    return text.encode().decode("latin-1")


class Handovers:
    """The connections that a legacy application drives by gevent-websocket.

    Greenlets: `serve` runs as long as its connection, in the greenlet of the request; `end` may
    come from any other.

    Args:
        application: the legacy application.

    Attributes:
        clients: as gevent-websocket's server has them, by address; applications send to all by it.
    """

    def __init__(self, application: WSGIApplication | None) -> None:
        self.application: Any = application
        self.clients: dict[Any, Any] = {}
        self._guests: set[_Guest] = set()

    def serve(
        self, asked: Handshake, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Upgrade as gevent-websocket does; the application serves the connection to its end.

        Raises:
            Refused: 400, 405, 426 or 501; nothing has been answered then.
        """
        headers = [("Sec-WebSocket-Accept", asked.accept())]
        place = find_place(environ)
        if place.is_native or isinstance(place, UwsgiPlace):
            raise Refused(501, _NEEDS_GEVENT)
        if protocol := self._subprotocol(asked):
            headers.append(("Sec-WebSocket-Protocol", protocol))

        guest = _Guest(KeptConnection(place, start_response, headers), environ, self)
        self._guests.add(guest)
        try:
            guest.run()
        except Exception:
            logger.exception("the application failed on '%s'", path_for_log(asked.path))
        finally:
            self._guests.discard(guest)
            guest.close()

        return Answered()

    def end(self) -> None:
        """Send 1001 on each, so that the application's `receive` ends."""
        for guest in list(self._guests):
            guest.say_goodbye()

    def _subprotocol(self, asked: Handshake) -> str:
        """Ask the application for the subprotocol of a path, as gevent-websocket does.

        It is the answer only if the client has offered it.
        """
        spoken = getattr(self.application, "app_protocol", None)
        known = str(spoken(asked.path) or "") if spoken is not None else ""
        offered = split_tokens(asked.subprotocols or "")
        return known if known in offered else ""


class _Guest:
    """One connection, with the face of gevent-websocket's handler, which its WebSocket looks at.

    Attributes:
        socket, rfile, environ, application, client_address, server, logger, active_client: as
            gevent-websocket has them.
    """

    def __init__(self, kept: KeptConnection, environ: WSGIEnvironment, server: Handovers) -> None:
        from geventwebsocket.handler import Client  # here, since few apps need it
        from geventwebsocket.websocket import Stream, WebSocket

        self.socket = kept.sock
        self.rfile = io.BufferedReader(_Rest(kept.early, kept.sock), _BUFFER_BYTES)
        self.environ = environ
        self.server = server
        self.application = server.application
        self.logger = logger
        address = environ.get("REMOTE_ADDR"), environ.get("REMOTE_PORT")
        self.client_address: Any = address if all(address) else f"unix:{id(self)}"
        self.websocket = WebSocket(environ, Stream(self), self)
        self.active_client = server.clients[self.client_address] = Client(
            self.client_address, self.websocket
        )
        self._kept = kept
        environ["wsgi.websocket"] = self.websocket
        environ["wsgi.websocket_version"] = environ["HTTP_SEC_WEBSOCKET_VERSION"]

    def run(self) -> None:
        """Let the application serve the connection; what it answers by HTTP has no place to go."""
        result = self.application(
            self.environ, lambda status, headers, exc_info=None: lambda data: None
        )
        try:
            for _ in result:
                pass
        finally:
            if hasattr(result, "close"):
                result.close()

    def say_goodbye(self) -> None:
        """Send a close frame with code 1001, and let the application see the end of the stream."""
        if not self.websocket.closed:
            self.websocket.closed = True  # its own close frame could not carry a code
            self._kept.end(_GOING_AWAY)

    def close(self) -> None:
        """Close the connection, as gevent-websocket does when the application returns."""
        self.server.clients.pop(self.client_address, None)
        try:
            if not self.websocket.closed:
                self.websocket.close()
        finally:
            self.environ["wsgi.websocket"] = None
            self._kept.close()


class _Rest(io.RawIOBase):
    """The bytes of a client, beginning with those that have been read already."""

    def __init__(self, early: bytes, sock: GeventSocket) -> None:
        self._early = early
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self._early:
            return int(self._sock.recv_into(buffer))
        part = self._early[: len(buffer)]
        self._early = self._early[len(part) :]
        buffer[: len(part)] = part
        return len(part)
