"""One WebSocket route as one app serves it: settings, callback, `auth`, context."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from gevent import Timeout
from greenlet import GreenletExit
from werkzeug.exceptions import HTTPException

from ..errors import Refused, UsageError
from ..http.request import Request
from ..hub.raised_in import run_there
from ..protocol.handshake import check_through_proxies
from ..routing.matching import Match
from ..routing.paths import normal_path
from .asking import WRAPPED, AppQuestion
from .bridge import bodiless, encoder_of
from .counters import Tally
from .verdict import judge, refusal_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed.wsgi import WSGIApplication

    from ..config import Config
    from ..protocol.handshake import Handshake
    from ..routing.callbacks import Auth, Event
    from ..routing.matching import Route
    from ..routing.params import Params
    from .bridge import Bridge, Environ
    from .connection import Connection

logger = logging.getLogger("tina4_wsgi.service")


class ServedRoute:
    """One route in service: its settings, and how its app calls callback and `auth`.

    Args:
        wsgi_app: the wrapped application, which an `auth` of `ask` asks; None for none.

    Attributes:
        route: the registered route.
        path: the route's path, as registered.
        limits: the settings in force.
        callback: `callback(connection, event, data)`; enters the bridge's context.
        encode_json: encodes a value as JSON, the app's own types by the framework's encoder.
        tally: the totals of its connections.
    """

    __slots__ = (
        "_bridge",
        "_has_told_result",
        "_wsgi_app",
        "callback",
        "encode_json",
        "limits",
        "path",
        "route",
        "tally",
    )

    def __init__(
        self,
        route: Route,
        limits: Config,
        bridge: Bridge | None = None,
        wsgi_app: WSGIApplication | None = None,
    ) -> None:
        self.route = route
        self.path = route.path
        self.limits = limits
        self._bridge = bridge
        self._wsgi_app = wsgi_app
        self._has_told_result = False

        self.encode_json = encoder_of(bridge)
        self.tally = Tally()

        self.callback: Callable[[Connection, Event, str | bytes], object]
        self.callback = route.callback if bridge is None else self._call_in_context
        if limits.metrics:
            self.callback = self.tally.timed(self.callback)

    @property
    def asks(self) -> bool:
        """Whether `admit` calls a framework or an `auth`."""
        return self._bridge is not None or self.has_auth

    @property
    def has_auth(self) -> bool:
        """Whether the route has an `auth`."""
        return self.route.auth is not None

    def told_result(self, event: str, result: object) -> None:
        """Warn, once, that a callback's return value is not sent; may wait for the log."""
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

    def check_origin(self, asked: Handshake, environ: Environ, host: str) -> None:
        """Apply the origin policy of the framework or of the route.

        Args:
            host: the host of the request, as seen through trusted proxies.
        Raises:
            Refused: 403.
        """
        limits = self.limits
        if self._bridge is not None:
            self._bridge.check_origin(self._as_pages_come(environ), host, limits)
        elif asked.origin is not None:
            check_through_proxies(
                asked.origin, environ, host, limits.allowed_origins, limits.trusted_proxies
            )

    def admit(self, environ: Environ, match: Match) -> object:
        """Let the framework check this handshake, then ask the route's `auth` for the user.

        Raises:
            Refused: the handshake is to be answered with its status.
        """
        try:
            if self._bridge is not None:
                environ = self._as_joined(self._as_pages_come(bodiless(environ)))
                self._asked(self._bridge.admit, environ, match)
            return self.authenticate(environ, match.params)
        except Timeout as exc:
            raise self._failed(exc) from exc

    def authenticate(self, environ: Environ, params: Params) -> object:
        """Ask the route's `auth` for the user.

        Returns:
            The result of `auth`; None where the route has no `auth`, and for `ANONYMOUS`.
        Raises:
            Refused: 401, the result isn't true, or is a user who isn't logged in; the status of an
                HTTPException that `auth` raised or returned; 500, `auth` raised another error, or
                its result must be a mistake.
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
            # The server ends this request or itself; the Timeout may be the caller's.
            raise
        except BaseException as exc:  # also SystemExit: the client is answered
            raise self._failed(exc) from exc

        if isinstance(answer, HTTPException):
            raise refusal_of(answer)
        return answer

    def _failed(self, error: BaseException) -> Refused:
        """Log the error that an `auth` raised, and return the refusal that answers it."""
        run_there(error, logger.exception, "auth of %s raised", self.path, exc_info=error)
        return Refused(500, _NOT_FOUND_OUT)

    def _ask_in_context(self, auth: Auth, environ: Environ, params: Params) -> object:
        if isinstance(auth, AppQuestion):
            # Outside the framework's context: the application makes its own.
            return auth.put(self._wsgi_app, environ, params)
        if self._bridge is None:
            if self._wsgi_app is not None:
                environ[WRAPPED] = self._wsgi_app, None
            return auth(Request(environ, params, self.limits))

        as_it_came, environ = environ, dict(self._as_pages_come(environ))
        if self._wsgi_app is not None:
            environ[WRAPPED] = self._wsgi_app, as_it_came
        request = Request(environ, params, self.limits)
        environ["tina4_wsgi.match"] = Match(self.route, params)
        return self._bridge.run(environ, "auth", partial(auth, request))

    def _as_joined(self, environ: Environ) -> Environ:
        """Return the environ with the joined group's path, which `auth` and frameworks judge then.

        "/x/" and "/x//" become "/x"; if the route itself ends with a slash, all become "/x/".
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
        """Return the environ with "http" and "https", the schemes that frameworks know."""
        assert self._bridge is not None
        return self._bridge.with_page_schemes(environ)


_NOT_FOUND_OUT = "the server could not find out who you are"
