"""Where servers that know no gevent keep the socket of a request.

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

from .waitress_channel import WaitressChannel

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from .native_shell import NativeSocket

Reader = Any
"""Each server has its own."""

_DJANGO = "django.core.handlers.wsgi"


def waitress_channel(environ: WSGIEnvironment) -> WaitressChannel | None:
    """Return the channel of a request under waitress, else None."""
    channel = getattr(environ.get("waitress.client_disconnected"), "__self__", None)
    # Other servers that imitate waitress have no such main loop.
    has_loop = hasattr(getattr(channel, "server", None), "trigger")
    return WaitressChannel(channel) if has_loop else None


def reader_behind(body: object) -> Reader:
    """Return what `wsgi.input` reads from: itself, but under Django's server what that limits."""
    if type(body).__module__ != _DJANGO:
        return body
    limited = getattr(body, "_read", None)  # a bound method; before Django 4.2 the stream itself
    return getattr(limited, "__self__", None) or getattr(body, "stream", None)


def socket_behind(reader: Reader) -> NativeSocket:
    """Return the socket of a buffered reader, as `socket.makefile` makes it; None for another."""
    return getattr(getattr(reader, "raw", None), "_sock", None)


def takes_hops(environ: WSGIEnvironment) -> bool:
    """Return whether a server whose socket is behind `wsgi.input` takes Upgrade from an app."""
    # wsgiref's refuses it, and so may whatever was made of it; gevent's says its own name.
    return str(environ.get("SERVER_SOFTWARE")).startswith("gevent/")
