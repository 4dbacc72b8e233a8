"""Runs the events of WebSocket routes inside a Flask app."""

from __future__ import annotations

import io
import logging
import sys
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn, cast

import flask
from flask.json.provider import DefaultJSONProvider

from ... import jsontext
from ...http.handling import decode_path
from ...routing.paths import normal_path
from ...websocket.bridge import SEEN, Environ
from ..passage import Event, PassingBridge, nothing
from . import hooks, matching, stack
from .logout import LoginLogouts
from .passage import REFUSING, FlaskEvent, Sighting, refusal_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed.wsgi import WSGIApplication

    from ...app import App
    from ...backplane.contract import Facts
    from ...config import Config
    from ...routing.matching import Match, Route
    from .stack import LeftOut

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
"""Left out of the request that only looks where a handshake goes: middleware might act on it."""


@dataclass(frozen=True)
class Ways:
    """The ways through the middleware of an app.

    Attributes:
        whole: through all middleware, as requests go.
        of_events: through all but what `leave_out` names.
        is_bare: whether there is no middleware at all.
    """

    whole: WSGIApplication
    of_events: WSGIApplication
    is_bare: bool = False


def own_ways(app: flask.Flask, leave_out: LeftOut) -> Ways:
    """Return the ways through the middleware that `app.wsgi_app` has by now."""
    inner = app.wsgi_app
    whole = stack.Chained(app, inner)
    of_events = stack.Chained(app, stack.without(inner, app, leave_out)) if leave_out else whole
    return Ways(whole, of_events, stack.is_bare(app))


class FlaskBridge(PassingBridge):
    """Runs the events of WebSockets inside an app.

    Args:
        runs_before_request: whether `before_request` functions are asked at each handshake.
    """

    refusing = REFUSING
    logger = logger

    def __init__(self, app: flask.Flask, ways: Ways, runs_before_request: bool) -> None:
        super().__init__(ways.whole, ())
        self._app = app
        self._ways = ways
        self._runs_before_request = runs_before_request
        self._logouts: LoginLogouts | None = None
        hooks.install(app)

    def listen_to_logouts(self, served: App) -> None:
        """Close the connections of each session that flask-login logs out, in all processes."""
        self._logouts = LoginLogouts.of(self._app, served)

    def seen(self, environ: Environ) -> Environ:
        """Return the environ of a handshake as the app sees it behind its middleware."""
        return environ if self._ways.is_bare else self._look(environ)

    def match(self, path: str) -> Match | None:
        """Return the route of a path as connections are named by it, see `path_for`."""
        return matching.match(self._app, path)

    def find(self, environ: Environ, path: str) -> tuple[str, Match] | None:
        """Find a route that the app declares, by the host and path as it sees them."""
        return matching.find(self._app, environ, path)

    def routes(self) -> Iterable[Route]:
        """Return the routes that the app declares."""
        return matching.declared(self._app)

    def names_host(self, environ: Environ) -> bool:
        """Return whether TRUSTED_HOSTS, SERVER_NAME or the route itself names the host."""
        seen = environ.get(SEEN, environ)
        return matching.names_host(self._app, seen, normal_path(decode_path(seen)))

    def check_origin(self, environ: Environ, host: str, limits: Config) -> None:
        """Enforce the origin policy by the host and the scheme that the app sees."""
        seen = environ.get(SEEN, environ)
        named = _host_of(seen)
        # Where middleware changed nothing, `trusted_proxies` may have.
        super().check_origin(seen, host if named == _host_of(environ) else named, limits)

    def admit(self, environ: Environ, match: Match) -> None:
        """Ask the middleware and, where that is wanted, the `before_request` functions."""
        environ.pop(SEEN, None)  # no view has that in its environ
        if self._runs_before_request:
            self._ask(environ, match, asks_before_request=True)
        elif match.route.auth is None:  # or they are asked together with it
            if self._ways.is_bare:
                matching.check_host(self._app, environ)
            else:
                self._ask(environ, match)
        environ[_AT_HANDSHAKE] = True

    def run(self, environ: Environ, event: str, call: Callable[[], object]) -> object:
        """Run `call` in the place of a view, behind the middleware."""
        way = self._ways.of_events
        if event == "auth":
            call = partial(_call_as_seen, environ, call)
            if environ.pop(_AT_HANDSHAKE, False):
                way = self._ways.whole
                if self._logouts is not None:
                    call = partial(self._logouts.during_handshake, call)
        elif event != "message" and self._logouts is not None:
            connection = environ["tina4_wsgi.connection"]
            call = partial(self._logouts.during, connection, event, call)

        return self.outcome_of(FlaskEvent(self._app, environ, event, call, way), environ)

    def send(self, event: Event, environ: Environ) -> None:
        """Send an event down the middleware; Flask matches it as a WebSocket's."""
        assert isinstance(event, FlaskEvent)
        environ = {**environ, "HTTP_CONNECTION": "Upgrade", "HTTP_UPGRADE": "websocket"}
        if not flask.has_app_context():
            event.pass_through(event.way, environ)
            return

        # As in a callback that calls refresh_auth(): the `g` of its context knows a user.
        context = self._app.app_context()
        context.push()
        try:
            event.pass_through(event.way, environ)
        finally:
            context.pop(event.error)

    def run_unhindered(self, event: Event, environ: Environ) -> None:
        """Send a "close" to the app past all middleware."""
        assert isinstance(event, FlaskEvent)
        event.way = stack.own_end(self._app)
        self.send(event, environ)

    def raise_error(self, event: Event, error: BaseException) -> NoReturn:
        """Raise what the event ended with: the app's error handlers have had their say."""
        raise error

    def refusal_status(self, event: Event) -> int:
        """Return the status with which middleware refuses that answered in the app's place."""
        return refusal_status(event.status or HTTPStatus.INTERNAL_SERVER_ERROR)

    def json_default(self, value: object) -> object:
        """Ask `app.json`, as Flask does for what views return."""
        provider = self._app.json
        if (
            isinstance(provider, DefaultJSONProvider)
            and type(provider).dumps is DefaultJSONProvider.dumps
        ):
            return cast("object", provider.default(value))
        return cast("object", jsontext.decode(provider.dumps(value)))  # by a library of its own

    def answer(self, question: Facts) -> Facts:
        """Close the connections of this process that a log-out ends, and return how many."""
        return {} if self._logouts is None else self._logouts.answer(question)

    def _look(self, environ: Environ) -> Environ:
        """Send a harmless request down the middleware, and return the environ that the app sees.

        Returns:
            `environ` if middleware answers in the app's place.
        """
        sighting = Sighting(self._app)
        shown = {name: value for name, value in environ.items() if name not in _NOT_SHOWN}
        shown.update({"REQUEST_METHOD": "OPTIONS", "wsgi.input": io.BytesIO()})

        try:
            sighting.pass_through(self._ways.whole, _whole_environ(shown))
        except Exception:
            # The event that follows meets the same middleware, and its exception is logged then.
            logger.debug("middleware raised", exc_info=True)
        if sighting.environ is None:
            return environ

        hidden = {name: environ[name] for name in _NOT_SHOWN if name in environ}
        seen = {**sighting.environ, **hidden, "REQUEST_METHOD": "GET"}
        del seen[hooks.KEY]
        return seen

    def _ask(self, environ: Environ, match: Match, *, asks_before_request: bool = False) -> None:
        event = FlaskEvent(
            self._app,
            {**environ, "tina4_wsgi.match": match},
            "auth",
            nothing,
            self._ways.whole,
            asks_before_request=asks_before_request,
        )
        self.outcome_of(event, environ)


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
    """Add the keys that PEP 3333 requires: an environ may hold only a path."""
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
