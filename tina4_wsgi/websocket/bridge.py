"""The interface through which a framework takes part in WebSocket routes."""

from __future__ import annotations

import io
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, NoReturn

from .. import jsontext
from ..addresses import forwarded
from ..errors import ConnectionClosed, Refused
from ..protocol import handshake
from ..protocol.frames import CloseCode
from .verdict import ANONYMOUS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..backplane.contract import Facts
    from ..config import Config
    from ..routing.matching import Match, Route
    from .connection import Connection

__all__ = ["ANONYMOUS", "SEEN", "Bridge", "Environ", "bodiless", "encoder_of", "refuse"]

Environ = dict[str, Any]

SEEN = "tina4_wsgi.seen"
"""The key under which a handshake's environ holds the environ that the framework sees; absent where
both are the same.
"""


class Bridge:
    """Lets a framework take part in WebSocket routes; this one, for plain WSGI, adds nothing.

    `tina4_wsgi.contrib` has a bridge for each framework, and an app may pass its own:
    `App(wsgi_app, bridge=…)`.

    Greenlets: `match`, `check_origin` and `answer` must not wait; all other methods may.
    """

    def match(self, path: str) -> Match | None:
        """Return the framework's own route for a path that no route of the router has.

        Args:
            path: decoded and normalised: without slashes at its end, except for "/" itself.
        Raises:
            Refused: 404, the path is spelled differently from its route; see `spelling`.
        """

    def seen(self, environ: Environ) -> Environ:
        """Return the environ of a handshake as the framework sees it; by default unchanged.

        Middleware inside the framework's app may change host, path or prefix.
        """
        return environ

    def find(self, environ: Environ, path: str) -> tuple[str, Match] | None:
        """Return the framework's own route, with the name of its connections' group.

        Args:
            environ: the environ that `seen` returned.
            path: the decoded path of this environ.
        Raises:
            Refused: the framework has a route for the path, but the route takes no connections.
        """
        match = self.match(path)
        return None if match is None else (path, match)

    def routes(self) -> Iterable[Route]:
        """Return the framework's own routes, for listings; without those of the router."""
        return ()

    def routes_mark(self) -> object:
        """Return an object that is replaced whenever the framework gets another route.

        None where its routes don't change, or are made by our routers. What is remembered of paths
        is looked up anew when it changes. Called with each broadcast, so it must be quick.
        """
        return None

    def names_host(self, environ: Environ) -> bool:
        """Return whether the framework's settings or routes name the host of this handshake.

        True means that no stranger pointed this host name at the server. Only called for handshakes
        that the framework has a route for, and where the setting `allowed_hosts` names no host.
        """
        return False

    def with_page_schemes(self, environ: Environ) -> Environ:
        """Return an environ in which "wss" is "https" and "ws" is "http".

        Changes every place where the framework looks for the scheme.
        """
        return forwarded.with_page_schemes(environ)

    def check_origin(self, environ: Environ, host: str, limits: Config) -> None:
        """Apply the origin policy.

        Args:
            host: the host of the request, as seen through trusted proxies.
        Raises:
            Refused: 403.
        """
        handshake.check_page(environ, host, limits.allowed_origins, limits.trusted_proxies)

    def admit(self, environ: Environ, match: Match) -> None:
        """Let the framework refuse a handshake before `auth` is called, outside `context`.

        Args:
            environ: a copy, without a body.
        Raises:
            Refused, HTTPException: the framework refuses; any other error is logged and answered
                500.
        """

    def context(self, environ: Environ, event: str) -> AbstractContextManager[object]:
        """Return the framework's context for one event, a new one each time.

        An error that leaves the `with` block is raised again.

        Args:
            environ: a WSGI environ of the handshake, new for this event: a GET without a body.
                `environ["tina4_wsgi.match"]` is the route with the parameters of the path, and for
                callbacks `environ["tina4_wsgi.connection"]` is the connection.
            event: "auth", "open", "message" or "close".
        """
        return nullcontext()

    def run(self, environ: Environ, event: str, call: Callable[[], object]) -> object:
        """Make one call inside `context`, and return its result.

        Override this for a framework whose context is no `with` block but a chain of functions
        around a view: `call` takes the view's place. `environ["tina4_wsgi.match"]` then has the
        route and its parameters.
        """
        with self.context(environ, event):
            return call()

    def answer(self, question: Facts) -> Facts:
        """Answer a question that this bridge asked by `App.ask_all`; {} for any other question.

        Greenlets: the hub's; never waits.
        """
        return {}

    def json_default(
        self, value: Any
    ) -> Any:  # Any: the application's own types, and what JSON can write
        """Return a stand-in for `value` that JSON can write, or raise TypeError.

        Called for values of types that `jsontext` doesn't know.
        """
        raise TypeError(f"{type(value).__name__} is not JSON serializable")


def encoder_of(bridge: Bridge | None) -> jsontext.Encode:
    """Return a JSON encoder that leaves the app's own types to the framework's encoder."""
    return jsontext.encode if bridge is None else jsontext.encoder(bridge.json_default)


def refuse(status: int, connection: Connection | None = None) -> NoReturn:
    """Refuse for a framework: with its status before the 101, with 4401 or 4403 after the 101.

    Args:
        status: the status that the framework would answer with; a redirect makes no sense to a
            WebSocket client and becomes 403.
        connection: the event's connection, None before the 101.
    Raises:
        Refused: before the 101.
        ConnectionClosed: after the 101; it is not logged.
    """
    status = status if 400 <= status < 600 else 403
    message = "the application refuses this WebSocket"
    if connection is None:
        raise Refused(status, message)
    code = CloseCode.UNAUTHENTICATED if status == 401 else CloseCode.FORBIDDEN
    connection.close(code, message)
    raise ConnectionClosed(code, message)


def bodiless(environ: Mapping[str, Any]) -> Environ:
    """Copy an environ for code that might read its body, which holds the client's first frames."""
    return {**environ, "wsgi.input": io.BytesIO()}
