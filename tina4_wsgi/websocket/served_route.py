"""One WebSocket route as one app serves it: its settings, its callback, its login, in the
framework's own context.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from gevent import Timeout
from greenlet import GreenletExit
from werkzeug.exceptions import HTTPException

from .. import jsontext
from ..addresses import forwarded
from ..backplane.contract import Facts
from ..config import Config
from ..errors import ConnectionClosed, Refused, UsageError
from ..http.request import Request
from ..hub.raised_in import run_there
from ..protocol import handshake
from ..protocol.deflate import Agreement, negotiate, parse_offers
from ..protocol.frames import CloseCode
from ..routing.matching import Match, Route
from ..routing.params import Params
from ..routing.paths import normal_path
from .counters import Tally
from .verdict import ANONYMOUS, judge, refusal_of

if TYPE_CHECKING:
    from ..routing.callbacks import Auth, Event
    from .connection import Connection

__all__ = ["ANONYMOUS", "Bridge", "Environ", "ServedRoute", "bodiless", "refuse"]

logger = logging.getLogger("tina4_wsgi.service")

Environ = dict[str, Any]

SEEN = "tina4_wsgi.seen"
"""Where a handshake's environ has what the framework sees in its place; absent where that is the
same.
"""


class Bridge:
    """Where a framework has a say in our WebSocket routes; this one, for plain WSGI, has none.

    `tina4_wsgi.contrib` has one for each framework, and an app may bring its own: `App(wsgi_app,
    bridge=…)`.

    Greenlets: `match`, `check_origin` and `answer` don't wait; all else may.
    """

    def match(self, path: str) -> Match | None:
        """Find a route that the framework declares, for a path that no route of the router has.

        Args:
            path: decoded and normal: without slashes at its end, but for "/" itself.
        Raises:
            Refused: 404, the path is spelled in another way than its route writes it; see
                `spelling`.
        """

    def seen(self, environ: Environ) -> Environ:
        """Give the environ of a handshake as the framework sees it; `environ` itself where that is
        the same.

        Middleware inside of the framework's app may change host, path or prefix.
        """
        return environ

    def find(self, environ: Environ, path: str) -> tuple[str, Match] | None:
        """Find a route that the framework declares, and the name of the group of its connections.

        Args:
            environ: as `seen` gives it.
            path: the decoded path in it.
        Raises:
            Refused: the framework would find it, but nobody may connect there.
        """
        match = self.match(path)
        return None if match is None else (path, match)

    def routes(self) -> Iterable[Route]:
        """Give the routes that the framework declares, for listings; those of the router are known
        already.
        """
        return ()

    def names_host(self, environ: Environ) -> bool:
        """Say whether the framework's own settings or routes name the host of a handshake that it
        has a route for.

        Then nobody else has pointed that name here. Asked where our own setting `allowed_hosts`
        names none.
        """
        return False

    def with_page_schemes(self, environ: Environ) -> Environ:
        """Give an environ in which "wss" is "https" and "ws" is "http", wherever the framework
        looks for the scheme.
        """
        return forwarded.with_page_schemes(environ)

    def check_origin(self, environ: Environ, host: str, limits: Config) -> None:
        """Hold the origin policy.

        Args:
            host: under which the request came, as seen through trusted proxies.
        Raises:
            Refused: 403.
        """
        handshake.check_page(environ, host, limits.allowed_origins, limits.trusted_proxies)

    def admit(self, environ: Environ, match: Match) -> None:
        """Let the framework refuse a handshake before the route's `auth` is asked; outside of
        `context`.

        Args:
            environ: a copy, without a body.
        Raises:
            Refused, HTTPException: it does; anything else is logged and answered 500.
        """

    def context(self, environ: Environ, event: str) -> AbstractContextManager[object]:
        """Enter the framework's context for one event, a fresh one each time; what leaves the block
        is raised again.

        Args:
            environ: a WSGI environ of the handshake, made for this event: a GET without a body.
                `environ["tina4_wsgi.match"]` is the route with the parameters of the path, and for
                callbacks `environ["tina4_wsgi.connection"]` is the connection.
            event: "auth", "open", "message" or "close".
        """
        return nullcontext()

    def run(self, environ: Environ, event: str, call: Callable[[], object]) -> object:
        """Make one call inside of `context`, and give what it gives.

        For a framework whose context is no block but a chain of functions around a view: it has
        `call` take the view's place. Then `environ["tina4_wsgi.match"]` is of use, the route and
        its parameters.
        """
        with self.context(environ, event):
            return call()

    def answer(self, question: Facts) -> Facts:
        """Answer a question that this bridge has put to all processes by `App.ask_all`; {} for any
        other.

        Greenlets: the hub's; never waits.
        """
        return {}

    def json_default(
        self, value: Any
    ) -> Any:  # Any: the application's own types, and what JSON can write
        """Give a JSON-able stand-in for `value`, by the framework's own encoder, or raise
        TypeError.

        Asked about types that `jsontext` doesn't know.
        """
        raise TypeError(f"{type(value).__name__} is not JSON serializable")


class ServedRoute:
    """What an app does for the connections of one route.

    Attributes:
        route: what was registered.
        path: the route's, as written.
        limits: the settings in force.
        callback: `callback(connection, event, data)`; enters the bridge's context.
        encode_json: writes a value as JSON; types of the app's own by the framework's encoder.
        tally: what its connections did.
    """

    __slots__ = (
        "_bridge",
        "_has_told_result",
        "callback",
        "encode_json",
        "limits",
        "path",
        "route",
        "tally",
    )

    def __init__(self, route: Route, limits: Config, bridge: Bridge | None = None) -> None:
        self.route = route
        self.path = route.path
        self.limits = limits
        self._bridge = bridge
        self._has_told_result = False
        self.encode_json: jsontext.Encode = (
            jsontext.encode if bridge is None else jsontext.encoder(bridge.json_default)
        )
        self.tally = Tally()
        self.callback: Callable[[Connection, Event, str | bytes], object]
        self.callback = route.callback if bridge is None else self._call_in_context
        if limits.metrics:
            self.callback = self.tally.timed(self.callback)

    @property
    def asks(self) -> bool:
        """Whether `admit` asks anybody."""
        return self._bridge is not None or self.has_auth

    @property
    def has_auth(self) -> bool:
        """Whether somebody is asked who connects."""
        return self.route.auth is not None

    def told_result(self, event: str, result: object) -> None:
        """Tell, once, that what a callback returned goes nowhere; may wait for the log."""
        if not self._has_told_result:
            self._has_told_result = True
            logger.warning(
                "callback of %s returned %s at %r, which goes nowhere; connection.send sends to "
                "the client, at %s",
                self.path,
                type(result).__name__,
                event,
                self.route.location,
            )

    def check_origin(self, environ: Environ, host: str) -> None:
        """Hold the origin policy of the framework or of the route.

        Raises:
            Refused: 403.
        """
        if self._bridge is None:
            _PLAIN.check_origin(environ, host, self.limits)
        else:
            self._bridge.check_origin(self._as_pages_come(environ), host, self.limits)

    def agree_on_deflate(self, environ: Environ) -> Agreement | None:
        """Give what is agreed on for permessage-deflate, None for nothing.

        Raises:
            Refused: 400, the header is broken.
        """
        offered = environ.get("HTTP_SEC_WEBSOCKET_EXTENSIONS")
        if offered is None:
            return None
        offers = parse_offers(
            offered
        )  # also where nothing is agreed on: a broken header is refused
        return negotiate(offers) if self.limits.deflate else None

    def admit(self, environ: Environ, match: Match) -> object:
        """Ask the framework whether this handshake may pass, and the route's `auth` who it is.

        Raises:
            Refused: with the status that answers the handshake.
        """
        try:
            if self._bridge is not None:
                environ = self._as_joined(self._as_pages_come(bodiless(environ)))
                self._asked(self._bridge.admit, environ, match)
            return self.authenticate(environ, match.params)
        except Timeout as exc:
            raise self._failed(exc) from exc

    def authenticate(self, environ: Environ, params: Params) -> object:
        """Ask the route's `auth` who this is.

        Returns:
            What it gave; None where the route has no `auth`, and for `ANONYMOUS`.
        Raises:
            Refused: 401, what it gave isn't true, or is a user who isn't logged in; an
                HTTPException's own status; 500, it raised something else, or gave what must be a
                mistake.
        """
        auth = self.route.auth
        if auth is None:
            return None
        found = self._asked(self._ask_in_context, auth, self._as_joined(environ), params)
        try:
            return judge(found)
        except Refused:
            raise
        except UsageError as exc:
            logger.error("auth of %s %s", self.path, exc)
            raise Refused(500, _NOT_FOUND_OUT) from exc
        except Exception as exc:
            logger.exception("auth of %s gave what can't be judged", self.path)
            raise Refused(500, _NOT_FOUND_OUT) from exc

    def _asked(self, question: Callable[..., object], *args: object) -> object:
        try:
            answer = question(*args)
        except HTTPException as exc:
            raise refusal_of(exc) from exc
        except Refused:
            raise
        except (GreenletExit, KeyboardInterrupt, Timeout):
            # The server ends this request, or itself; a Timeout may be that of whoever asks again.
            raise
        except BaseException as exc:  # also SystemExit: the client is answered
            raise self._failed(exc) from exc
        if isinstance(answer, HTTPException):
            raise refusal_of(answer)
        return answer

    def _failed(self, error: BaseException) -> Refused:
        """Log what an `auth` raised, and give what answers for it."""
        run_there(error, logger.exception, "auth of %s raised", self.path, exc_info=error)
        return Refused(500, _NOT_FOUND_OUT)

    def _ask_in_context(self, auth: Auth, environ: Environ, params: Params) -> object:
        if self._bridge is None:
            return auth(Request(environ, params, self.limits))
        environ = self._as_pages_come(environ)
        request = Request(environ, params, self.limits)
        environ["tina4_wsgi.match"] = Match(self.route, params)
        return self._bridge.run(environ, "auth", partial(auth, request))

    def _as_joined(self, environ: Environ) -> Environ:
        """Spell the path as the name of the group that is joined, so that `auth` and frameworks
        judge that.

        "/x/" and "/x//" are "/x" here; where the route itself ends with a slash, all are "/x/".
        """
        path = environ.get("PATH_INFO", "")
        spelled = normal_path(path)
        if self.route.rule.endswith("/") and spelled != "/":
            spelled += "/"
        return environ if path == spelled or not path else {**environ, "PATH_INFO": spelled}

    def _call_in_context(self, connection: Connection, event: Event, data: str | bytes) -> object:
        results: list[object] = []

        def call() -> None:
            results.append(self.route.callback(connection, event, data))

        environ = self._as_joined(self._as_pages_come(connection.environ()))
        environ["tina4_wsgi.connection"] = connection
        environ["tina4_wsgi.match"] = Match(self.route, connection.params)
        assert self._bridge is not None
        self._bridge.run(environ, event, call)
        return results[0] if results else None

    def _as_pages_come(self, environ: Environ) -> Environ:
        """Give what a framework is shown: schemes of WebSockets are none of its own."""
        assert self._bridge is not None
        return self._bridge.with_page_schemes(environ)


_PLAIN = Bridge()
_NOT_FOUND_OUT = "the server could not find out who you are"


def refuse(status: int, connection: Connection | None = None) -> NoReturn:
    """Say no in a framework's name: before the 101 with its status, afterwards with 4401 or 4403.

    Args:
        status: what the framework would answer with; a redirect makes no sense to a WebSocket and
            is 403.
        connection: that of the event, None before the 101.
    Raises:
        Refused: before the 101.
        ConnectionClosed: afterwards; nobody logs it.
    """
    status = status if 400 <= status < 600 else 403
    message = "the application refuses this WebSocket"
    if connection is None:
        raise Refused(status, message)
    code = CloseCode.UNAUTHENTICATED if status == 401 else CloseCode.FORBIDDEN
    connection.close(code, message)
    raise ConnectionClosed(code, message)


def bodiless(environ: Mapping[str, Any]) -> Environ:
    """Copy an environ for somebody who might read its body, which holds the frames that came
    early.
    """
    return {**environ, "wsgi.input": io.BytesIO()}
