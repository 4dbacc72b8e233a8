"""The places of sockets under servers that know no gevent.

| server | the socket | what the client sent early |
|---|---|---|
| gunicorn's sync and gthread workers | `gunicorn.socket` | in the parser of `wsgi.input` |
| Werkzeug's, and so `flask run` | `werkzeug.socket` | in `wsgi.input`, a buffered reader |
| wsgiref's | behind `wsgi.input`, a buffered reader | in that |
| Django's `runserver` | the same, within its stream of limited length | the same |
| waitress | its channel's, of which the environ has a method | in the channel's parser |

What keeps each from the socket afterwards is the shell in its place (`native_shell`). Werkzeug's
asks a selector about it, which needs a descriptor; waitress's main loop needs more
(`waitress_channel`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import Refused
from .place import Place
from .waitress_channel import WaitressChannel

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed.wsgi import WSGIEnvironment

    from ..hub.stream import Stream
    from .place import AnySocket, Switch

_DJANGO = "django.core.handlers.wsgi"

_NEEDS_ITS_PROCESS = (
    "this server's process ends with its request, and the connection with it; "
    "run Werkzeug's server with threads in place of processes"
)
_EARLY_BYTES_ARE_LOST = (
    "this server has read what came behind the handshake as another request; "
    "send frames once the 101 has come"
)


class ReaderPlace(Place):
    """Under wsgiref's server, Django's, and whatever was made of them: behind `wsgi.input`."""

    takes_upgrade = False


class WerkzeugPlace(Place):
    """Under Werkzeug's server, which asks a selector whether there is more to read."""

    _is_polled = True

    def __init__(self, environ: WSGIEnvironment, reader: Any) -> None:  # Any: a middleware's too
        super().__init__(environ["werkzeug.socket"], reader)
        self._has_own_process = bool(environ.get("wsgi.multiprocess"))

    def check(self, software: str) -> None:
        """See, too, whether this process outlives its request."""
        super().check(software)
        if self._has_own_process:
            raise Refused(501, _NEEDS_ITS_PROCESS)

    def _hides_input(self) -> bool:
        return socket_behind(self._body) is not self.sock


class WaitressPlace(Place):
    """Under waitress, whose channel stands before the socket."""

    takes_upgrade = False

    def __init__(self, channel: WaitressChannel) -> None:
        super().__init__(channel.sock, None)
        self._channel = channel

    def check(self, software: str) -> None:
        """See, too, whether waitress took for a request what came behind the handshake."""
        super().check(software)
        if self._channel.has_lost_bytes:
            raise Refused(400, _EARLY_BYTES_ARE_LOST)

    def place_door(self, on_switching: Switch, on_other: Switch) -> Callable[[], None]:
        """Wait for waitress's answer where its channel writes it."""
        return self._channel.place_door(on_switching, on_other)

    def read_ahead(self) -> bytes:
        """Take what the channel's parser has read behind the handshake."""
        return self._channel.read_ahead()

    def _detach(self) -> Stream:
        self._channel.leave_loop()
        return super()._detach()

    def _is_taken(self) -> bool:
        return self._channel.is_taken or super()._is_taken()


def waitress_channel(environ: WSGIEnvironment) -> WaitressChannel | None:
    """Return the channel of a request under waitress, else None."""
    channel = getattr(environ.get("waitress.client_disconnected"), "__self__", None)
    # Other servers that imitate waitress have no such main loop.
    has_loop = hasattr(getattr(channel, "server", None), "trigger")
    return WaitressChannel(channel) if has_loop else None


def reader_behind(body: object) -> Any:  # Any: each server has its own
    """Return what `wsgi.input` reads from: itself, but under Django's server what that limits."""
    if type(body).__module__ != _DJANGO:
        return body
    limited = getattr(body, "_read", None)  # a bound method; before Django 4.2 the stream itself
    return getattr(limited, "__self__", None) or getattr(body, "stream", None)


def socket_behind(reader: object) -> AnySocket:
    """Return the socket of a buffered reader, as `socket.makefile` makes it; None for another."""
    return getattr(getattr(reader, "raw", None), "_sock", None)
