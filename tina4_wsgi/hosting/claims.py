"""Decides whether an App nested inside another application handles an upgrade itself.

The server has to know before it asks the application. It leaves an upgrade to the application, as
an ordinary request, unless the application says that it wants upgrades made by
gevent-websocket. gunicorn doesn't ask, so none of this matters there.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from werkzeug.middleware.dispatcher import DispatcherMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_DEEPEST = 32  # layers of middlewares; more is a circle
_INSIDE = ("wsgi_app", "app")  # where Flask keeps its callable, and most middlewares what they wrap
_LAYERS = ("_wsgi_app", *_INSIDE, "application")


def claims_upgrade(app: object, environ: WSGIEnvironment) -> bool:
    """Return whether an upgrade is left to `app`, or to the app that it would pass it to.

    Args:
        app: any WSGI application. What has `claims_upgrade(environ)` is asked; Werkzeug's
            DispatcherMiddleware, frameworks and middlewares that keep what they wrap as `wsgi_app`
            or `app` are looked into.
        environ: of the request; not changed.
    """
    for _ in range(_DEEPEST):
        claims = getattr(app, "claims_upgrade", None)
        if claims is not None:
            return bool(claims(environ))

        if isinstance(app, DispatcherMiddleware):
            app, environ = _dispatched(app, environ)
        else:
            app = next(
                (inner for name in _INSIDE if callable(inner := getattr(app, name, None))), None
            )

        if app is None:
            break
    return True


def paths_of_gevent_websocket(app: object) -> Iterator[str]:
    """Find where an application, or what it wraps, counts on `environ["wsgi.websocket"]`.

    Known are Socket.IO and Engine.IO in their gevent mode, and gevent-websocket's own Resource.
    Which paths a plain function looks at can't be found out.
    """
    for _ in range(_DEEPEST):
        if app is None:
            return
        kind = type(app)
        path = getattr(app, "engineio_path", None)
        if isinstance(path, str) and _asks_for_gevent_websocket():
            yield path.rstrip("/") or "/"
        if kind.__module__ == "geventwebsocket.resource" and kind.__name__ == "Resource":
            yield "/"
        app = next((inner for name in _LAYERS if callable(inner := getattr(app, name, None))), None)


def _asks_for_gevent_websocket() -> bool:
    """Return whether python-engineio runs in its gevent mode, and has found gevent-websocket."""
    driver = sys.modules.get("engineio.async_drivers.gevent")
    return driver is not None and getattr(driver, "SimpleWebSocketWSGI", None) is None


def _dispatched(
    dispatcher: DispatcherMiddleware, environ: WSGIEnvironment
) -> tuple[WSGIApplication, WSGIEnvironment]:
    """Find out which application a dispatcher chooses, and with which environ, by its own rules."""
    chosen: list[tuple[WSGIApplication, WSGIEnvironment]] = []

    def noting(app: WSGIApplication) -> WSGIApplication:
        def note(environ: WSGIEnvironment, start_response: StartResponse) -> tuple[()]:
            chosen.append((app, environ))
            return ()

        return note

    mounts = {prefix: noting(app) for prefix, app in dispatcher.mounts.items()}
    DispatcherMiddleware(noting(dispatcher.app), mounts)({**environ}, lambda *_: lambda data: None)
    return chosen[0]
