"""A Flask app's say in our WebSocket routes."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import flask
from flask.json.provider import DefaultJSONProvider

from ... import jsontext
from ...backplane.contract import Facts
from ...config import Config
from ...http.handling import decode_path
from ...routing.matching import Match, Route
from ...routing.paths import normal_path
from ...websocket.bridge import SEEN, Bridge, Environ
from . import hooks, matching, stack
from .logout import Logouts
from .passage import Passage, Sighting, drain

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from ...app import App

logger = logging.getLogger("tina4_wsgi.contrib.flask")

_AT_HANDSHAKE = "tina4_wsgi.contrib.flask.at_handshake"

_NOT_SHOWN = frozenset(
    {
        "HTTP_CONNECTION",
        "HTTP_UPGRADE",
        "HTTP_SEC_WEBSOCKET_KEY",
        "HTTP_SEC_WEBSOCKET_VERSION",
        "gunicorn.socket",
        "werkzeug.socket",
        "wsgi.websocket",
    }
)
"""What nobody on the way may act on while we only look where a handshake goes."""


@dataclass(frozen=True)
class Ways:
    """How events come to the app.

    Attributes:
        whole: through all middleware, as requests come.
        of_events: the same without what `leave_out` names.
        is_bare: whether there is no middleware at all.
    """

    whole: WSGIApplication
    of_events: WSGIApplication
    is_bare: bool = False


class FlaskBridge(Bridge):
    """Runs the events of WebSockets inside of an app.

    Args:
        runs_before_request: whether `before_request` functions are asked at each handshake.
    """

    def __init__(self, app: flask.Flask, ways: Ways, runs_before_request: bool) -> None:
        self._app = app
        self._ways = ways
        self._runs_before_request = runs_before_request
        self._logouts: Logouts | None = None
        hooks.install(app)

    def listen_to_logouts(self, served: App) -> None:
        """Close the connections of a session that flask-login logs out, in all processes."""
        self._logouts = Logouts.of(self._app, served)

    def seen(self, environ: Environ) -> Environ:
        """Give the environ of a handshake as the app sees it: behind middleware that changes host,
        path or prefix.
        """
        return environ if self._ways.is_bare else self._look(environ)

    def find(self, environ: Environ, path: str) -> tuple[str, Match] | None:
        """Find a route that the app declares, by the host and path as it sees them."""
        return matching.find(self._app, environ, path)

    def routes(self) -> Iterable[Route]:
        """Give the routes that the app declares."""
        return matching.declared(self._app)

    def names_host(self, environ: Environ) -> bool:
        """Say whether TRUSTED_HOSTS, SERVER_NAME or the host or subdomain of the route itself names
        the host.
        """
        seen = environ.get(SEEN, environ)
        return matching.names_host(self._app, seen, normal_path(decode_path(seen)))

    def check_origin(self, environ: Environ, host: str, limits: Config) -> None:
        """Hold the origin policy by the host and the scheme that the app sees."""
        seen = environ.get(SEEN, environ)
        named = _host_of(seen)
        # Where middleware changed nothing, `trusted_proxies` may have.
        super().check_origin(seen, host if named == _host_of(environ) else named, limits)

    def admit(self, environ: Environ, match: Match) -> None:
        """Ask the middleware and, where that is wanted, the `before_request` functions."""
        environ.pop(SEEN, None)  # no view has that in its environ
        if self._runs_before_request:
            self._ask(environ, asks_before_request=True)
        elif match.route.auth is None:  # or they are asked together with it
            if self._ways.is_bare:
                matching.check_host(self._app, environ)
            else:
                self._ask(environ)
        environ[_AT_HANDSHAKE] = True

    def run(self, environ: Environ, event: str, call: Callable[[], object]) -> object:
        """Have `call` take the place of a view, behind the middleware."""
        if event == "auth":
            call = partial(_call_as_seen, environ, call)
            way = self._ways.of_events
            if environ.pop(_AT_HANDSHAKE, False):
                way = self._ways.whole
                if self._logouts is not None:
                    call = partial(self._logouts.during_handshake, call)
            return Passage(self._app, event, call).through(way, {**environ})

        connection = environ["tina4_wsgi.connection"]
        if event != "message" and self._logouts is not None:
            call = partial(self._logouts.during, connection, event, call)
        passage = Passage(self._app, event, call, connection)
        result = passage.through(self._ways.of_events, environ)
        if not passage.is_reached and event == "close":
            # It runs whatever happens: it takes a user who may not be here any more off the lists.
            return passage.through(stack.own_end(self._app), connection.environ())
        return result

    def json_default(self, value: Any) -> Any:
        """Ask `app.json`, as for what views give."""
        provider = self._app.json
        if (
            isinstance(provider, DefaultJSONProvider)
            and type(provider).dumps is DefaultJSONProvider.dumps
        ):
            return provider.default(value)
        return jsontext.decode(provider.dumps(value))  # by a library of its own

    def answer(self, question: Facts) -> Facts:
        """Answer for this process's connections which of them a log-out has ended."""
        return {} if self._logouts is None else self._logouts.answer(question)

    def _look(self, environ: Environ) -> Environ:
        """Send a harmless request down the middleware, and give what the app sees; `environ` where
        it isn't asked.
        """
        sighting = Sighting(self._app)
        shown = {name: value for name, value in environ.items() if name not in _NOT_SHOWN}
        shown.update({"REQUEST_METHOD": "OPTIONS", "wsgi.input": io.BytesIO(), hooks.KEY: sighting})
        try:
            drain(self._ways.whole(_whole_environ(shown), _start_nothing), sighting)
        except Exception:
            # The event that follows meets the same middleware, and what it raises is told there.
            logger.debug("middleware raised", exc_info=True)
        if sighting.environ is None:
            return environ
        hidden = {name: environ[name] for name in _NOT_SHOWN if name in environ}
        seen = {**sighting.environ, **hidden, "REQUEST_METHOD": "GET"}
        del seen[hooks.KEY]
        return seen

    def _ask(self, environ: Environ, *, asks_before_request: bool = False) -> None:
        passage = Passage(self._app, "auth", _nothing, asks_before_request=asks_before_request)
        passage.through(self._ways.whole, {**environ})


def _call_as_seen(environ: Environ, call: Callable[[], object]) -> object:
    """Call an `auth`, whose own request has `environ`, with the environ that the app sees."""
    seen = flask.request.environ
    environ.update(
        {name: value for name, value in seen.items() if name not in (hooks.KEY, "werkzeug.request")}
    )
    return call()


def _host_of(environ: Environ) -> str:
    named: str = environ.get("HTTP_HOST") or environ.get("SERVER_NAME", "")
    return named


def _whole_environ(environ: Environ) -> Environ:
    """Fill in what WSGI asks for, where somebody asks about a bare path."""
    return {
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "",
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        **environ,
    }


def _start_nothing(status: str, fields: Any, _: Any = None, /) -> Callable[[bytes], None]:
    return _ignore


def _ignore(data: bytes) -> None:
    """Stand in for a server's `write`."""


def _nothing() -> None:
    """Stand in for the `auth` of a route without one."""
