"""WebSocket routes beside a Bottle app: in each event `bottle.request` is the handshake's, with the app's hooks around.

    app = wrap(bottle.default_app())            # for any server
    bottle.run(server="tina4")                  # or our own, by Bottle's name for it

`before_request` runs ahead of each event and `after_request` behind it, however it ended, so what they open and close
(a database session) is fresh for each event. What the hooks or a callback raise with 401 or 403 (`bottle.abort(401)`)
refuses: before the 101 with that status, afterwards with 4401 or 4403.

An editor keeps true: Bottle keeps its request in a `threading.local`, so everything hangs on that being gevent's.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import bottle
from gevent import monkey
from gevent.local import local as greenlet_local

from ..app import App
from ..cli import console, serving
from ..errors import ConfigError, UsageError
from ..matching import Match
from ..server.server import Server
from ..service import Bridge, Environ, refuse

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["Tina4Server", "wrap"]

logger = logging.getLogger("tina4_wsgi.contrib.bottle")


def wrap(app: bottle.Bottle, *, hooks_per_event: bool = True, **settings: Any) -> App:
    """Serve a Bottle app together with the WebSocket routes of the `Router`.

    Args:
        app: a `bottle.Bottle`, as `bottle.default_app()`.
        hooks_per_event: whether its hooks run for each event; without, only before the 101 and when `auth` is asked.
        settings: keywords of `App`.
    Raises:
        UsageError: it is something else.
    """
    if not isinstance(app, bottle.Bottle):
        raise UsageError(f"{app!r} is no bottle.Bottle; wrap that first, and put middleware around what wrap() gives")
    return App(app, bridge=_BottleBridge(app, hooks_per_event), **settings)


class _BottleBridge(Bridge):
    def __init__(self, app: bottle.Bottle, hooks_per_event: bool) -> None:
        self._app = app
        self._hooks_per_event = hooks_per_event

    def admit(self, environ: Environ, match: Match) -> None:
        """See that requests can't mix, and ask the hooks where no `auth` will."""
        if monkey.is_module_patched("threading") and not _are_greenlet_local():
            raise ConfigError(
                "bottle was imported before gevent patched threading, so that requests would mix: begin the app's "
                "module with `from gevent import monkey; monkey.patch_all()`, under gunicorn --preload too"
            )
        if match.route.auth is None:
            environ["tina4_wsgi.match"] = match
            with self.context(environ, "auth"):
                pass

    @contextmanager
    def context(self, environ: Environ, event: str) -> Iterator[bottle.LocalRequest]:
        """Bind `bottle.request` and `bottle.response`, and run the hooks around."""
        connection = environ.get("tina4_wsgi.connection")
        with _fresh_locals():
            bottle.request.bind(self._as_bottle_has_it(environ))
            bottle.response.bind()
            try:
                with self._hooks(event):
                    yield bottle.request
            except bottle.HTTPResponse as answer:
                if connection is None or answer.status_code in (401, 403):
                    refuse(answer.status_code, connection)
                raise

    def _as_bottle_has_it(self, environ: Environ) -> Environ:
        raw_path = environ["PATH_INFO"]
        return {
            **environ,
            "PATH_INFO": raw_path.encode("latin-1").decode(errors="ignore"),  # unlike PEP 3333
            "bottle.raw_path": raw_path,
            "bottle.app": self._app,
            "route.url_args": dict(environ["tina4_wsgi.match"].params),
        }

    @contextmanager
    def _hooks(self, event: str) -> Iterator[None]:
        if event != "auth" and not self._hooks_per_event:
            yield
            return
        try:
            self._before(event)
            yield
        finally:
            self._app.trigger_hook("after_request")

    def _before(self, event: str) -> None:
        try:
            self._app.trigger_hook("before_request")
        except Exception as exc:
            if event != "close":
                raise
            # "close" runs whatever happens: it takes a user who may not be here any more off the lists.
            if not isinstance(exc, bottle.HTTPResponse):
                logger.exception("before_request raised at 'close'")


# What `bottle.request` and `bottle.response` keep by greenlet: properties, each around a `threading.local`.
_LOCAL_NAMES = [
    (thing, name)
    for thing in (bottle.request, bottle.response)
    for name, value in vars(type(thing)).items()
    if isinstance(value, property)
]


@contextmanager
def _fresh_locals() -> Iterator[None]:
    """Put aside what is bound, such as in a view that calls `refresh_auth()`, and bring it back at the end."""
    bound = [(thing, _local(thing, name), _value(thing, name)) for thing, name in _LOCAL_NAMES]
    try:
        yield
    finally:
        for thing, one, values in bound:
            if values:
                one.fset(thing, *values)
            else:
                one.fdel(thing)


def _local(thing: object, name: str) -> Any:  # Any: a property
    return vars(type(thing))[name]


def _value(thing: object, name: str) -> tuple[object, ...]:
    """Give what is bound as a tuple of one; an empty one for nothing."""
    try:
        return (_local(thing, name).fget(thing),)
    except RuntimeError:
        return ()


def _are_greenlet_local() -> bool:
    return all(
        isinstance(cell.cell_contents, greenlet_local)
        for thing, name in _LOCAL_NAMES
        for cell in _local(thing, name).fget.__closure__
    )


def _renew_locals() -> None:
    """Make the locals anew, of the class that `threading.local` is now; only while nothing is served yet."""
    for thing, name in _LOCAL_NAMES:
        setattr(type(thing), name, bottle._local_property())


def _let_go_of_reloader() -> None:
    """Keep Bottle from waiting for its reloader's thread: of a class from before the patching, it never says it's over.

    It is a daemon and does nothing more at that point.
    """
    for thread in threading.enumerate():
        if isinstance(thread, bottle.FileCheckerThread):
            vars(thread)["join"] = lambda: None


class Tina4Server(bottle.ServerAdapter):  # type: ignore[misc]  # bottle ships no types
    """Our own server under Bottle's name "tina4": for `bottle.run(server="tina4")` and `bottle.py --server tina4`.

    Importing this module makes the name known. A Bottle app is wrapped; what is wrapped already is served as it is.
    Its options are those of `tina4_wsgi.server.server.Server`: `certfile`, `keyfile`, `unix_path`.
    """

    def run(self, handler: WSGIApplication) -> None:
        """Serve until SIGINT or SIGTERM, then say 1001 to every client.

        Raises:
            ConfigError: gevent hasn't patched the process.
        """
        if not monkey.is_module_patched("socket"):
            raise ConfigError(
                "gevent hasn't patched this process, and one request would hold up all others: "
                "begin the app's module with `from gevent import monkey; monkey.patch_all()`"
            )
        if not _are_greenlet_local():  # `bottle.py` itself came before the app's module
            _renew_locals()
            _let_go_of_reloader()
        console.configure_logging("warning" if self.quiet else "info")
        app = wrap(handler) if isinstance(handler, bottle.Bottle) else handler
        server = Server(app, self.host, self.port, **self.options)
        server.start()
        serving.stop_on_signal(server)
        if not self.quiet:
            print(serving.banner(server), flush=True)
        server.serve_forever()


bottle.server_names.setdefault("tina4", Tina4Server)
