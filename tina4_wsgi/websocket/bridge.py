"""Where a framework has a say in our WebSocket routes."""

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
        """Return the environ of a handshake as the framework sees it; by default the same.

        Middleware inside of the framework's app may change host, path or prefix.
        """
        return environ

    def find(self, environ: Environ, path: str) -> tuple[str, Match] | None:
        """Find a route that the framework declares, and the name of the group of its connections.

        Args:
            environ: as `seen` gives it.
            path: the decoded path in it.
        Raises:
            Refused: the framework would find it, but it takes no connections.
        """
        match = self.match(path)
        return None if match is None else (path, match)

    def routes(self) -> Iterable[Route]:
        """Return the routes that the framework declares, for listings; not those of the router."""
        return ()

    def names_host(self, environ: Environ) -> bool:
        """Return whether the framework's settings or routes name the host of this handshake.

        Only asked about handshakes that the framework has a route for. Then the name was
        not pointed here by a stranger. Asked where our own setting `allowed_hosts` names none.
        """
        return False

    def with_page_schemes(self, environ: Environ) -> Environ:
        """Return an environ in which "wss" is "https" and "ws" is "http".

        It changes every place where the framework looks for the scheme.
        """
        return forwarded.with_page_schemes(environ)

    def check_origin(self, environ: Environ, host: str, limits: Config) -> None:
        """Apply the origin policy.

        Args:
            host: under which the request came, as seen through trusted proxies.
        Raises:
            Refused: 403.
        """
        handshake.check_page(environ, host, limits.allowed_origins, limits.trusted_proxies)

    def admit(self, environ: Environ, match: Match) -> None:
        """Let the framework refuse a handshake before `auth` is asked, outside of `context`.

        Args:
            environ: a copy, without a body.
        Raises:
            Refused, HTTPException: it does; anything else is logged and answered 500.
        """

    def context(self, environ: Environ, event: str) -> AbstractContextManager[object]:
        """Enter the framework's context for one event, a fresh one each time.

        An error that leaves the block is raised again.

        Args:
            environ: a WSGI environ of the handshake, made for this event: a GET without a body.
                `environ["tina4_wsgi.match"]` is the route with the parameters of the path, and for
                callbacks `environ["tina4_wsgi.connection"]` is the connection.
            event: "auth", "open", "message" or "close".
        """
        return nullcontext()

    def run(self, environ: Environ, event: str, call: Callable[[], object]) -> object:
        """Make one call inside of `context`, and return what it returns.

        For a framework whose context is no block but a chain of functions around a view: it has
        `call` take the view's place. Then `environ["tina4_wsgi.match"]` is of use, the route and
        its parameters.
        """
        with self.context(environ, event):
            return call()

    def answer(self, question: Facts) -> Facts:
        """Answer a question that this bridge has asked by `App.ask_all`; {} for any other.

        Greenlets: the hub's; never waits.
        """
        return {}

    def json_default(
        self, value: Any
    ) -> Any:  # Any: the application's own types, and what JSON can write
        """Return a stand-in for `value` that JSON can write, or raise TypeError.

        Asked about types that `jsontext` doesn't know.
        """
        raise TypeError(f"{type(value).__name__} is not JSON serializable")


def encoder_of(bridge: Bridge | None) -> jsontext.Encode:
    """Return what writes a value as JSON; types of the app's own by the framework's encoder."""
    return jsontext.encode if bridge is None else jsontext.encoder(bridge.json_default)


def refuse(status: int, connection: Connection | None = None) -> NoReturn:
    """Refuse in a framework's name: with its status before the 101, with 4401 or 4403 after it.

    Args:
        status: what the framework would answer with; a redirect makes no sense to a WebSocket and
            is 403.
        connection: that of the event, None before the 101.
    Raises:
        Refused: before the 101.
        ConnectionClosed: afterwards; it is not logged.
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
