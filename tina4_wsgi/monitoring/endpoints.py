"""The addresses that the framework itself answers: metrics, health and the live page.

Each exists only if a setting asks for it. They come before the routes and before a legacy app, and
take no other address below theirs.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from .. import jsontext
from ..errors import ConfigError
from ..http import error_pages
from ..http.headers import first_elements
from ..http.response import Response
from ..protocol import handshake
from ..routing.paths import LIVE_PAGE, normal_path
from . import prometheus
from .live_feed import SOCKET_PATH

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

    from ..app import App
    from ..backplane.contract import Facts
    from ..routing.matching import Match, Route
    from .live_page import LivePage

logger = logging.getLogger("tina4_wsgi.metrics")

_READING = ("GET", "HEAD")
_ALLOWED = ("Allow", "GET, HEAD, OPTIONS")
_MOST_WATCHERS_OVER_CAP = 8  # they use descriptors reserved for other things


class Endpoints:
    """The addresses that one app answers for the framework.

    Args:
        live: the live page, None where there is none.
    Raises:
        ConfigError: `metrics` is set without prometheus_client, or two pages have one address.

    Attributes:
        paths: the addresses; empty where there are none.
        live: the live page, None where there is none.
        is_shared: whether they show the numbers of all workers; the live page of `debug` alone
            shows those of its own worker.
    """

    def __init__(self, app: App, live: LivePage | None) -> None:
        self._app = app
        self._link = app.start_link
        self.live = live
        self.paths: dict[str, Callable[[WSGIEnvironment], WSGIApplication]] = {}

        config = app.config
        if config.metrics:
            prometheus.check()
            self.paths[normal_path(config.metrics)] = self._metrics
        if config.health:
            if normal_path(config.health) in self.paths:
                raise ConfigError(
                    f"health={config.health!r} is the address of metrics too, expected another"
                )
            self.paths[normal_path(config.health)] = self._health

        if live is not None:
            self.paths |= dict.fromkeys(live.paths, live.page)
        if self._link is not None:
            self.paths.setdefault(LIVE_PAGE, self._nothing_live)
            self._after_link = "/" if live is None else LIVE_PAGE
        self.is_shared = bool(config.metrics) or (live is not None and live.is_shared)

    def match(self, path: str) -> Match | None:
        """Return the live page's WebSocket route if `path` is its address."""
        return self.live.socket if self.live is not None and path == SOCKET_PATH else None

    def spare(self, route: Route) -> int:
        """Return how many connections of a route may exceed the connection limit.

        The live page's may, so that somebody can see why a worker is full.
        """
        is_live_page = self.live is not None and route is self.live.socket.route
        return _MOST_WATCHERS_OVER_CAP if is_live_page else 0

    def is_health(self, environ: WSGIEnvironment) -> bool:
        """Return whether a request is for the health page."""
        page = self.paths.get(normal_path(environ.get("PATH_INFO") or "/"))
        return page == self._health and not handshake.wants_websocket(environ)

    def find(self, environ: WSGIEnvironment) -> WSGIApplication | None:
        """Return the page that answers a request, None for any other request."""
        path = environ.get("PATH_INFO") or "/"
        page = self.paths.get(path) or (
            self.paths.get(normal_path(path)) if path[-1] == "/" else None
        )
        if page is None or handshake.wants_websocket(environ):
            return None

        method = environ["REQUEST_METHOD"]
        if method == "OPTIONS":  # the method of HAProxy's health checks
            return Response().header(*_ALLOWED).data(b"", "text/plain")
        if method not in _READING:
            return error_pages.error(environ, 405, f"This address takes {_ALLOWED[1]}.", [_ALLOWED])

        if self._link is not None and self._link.is_followed(environ):
            return self._link.follow(environ, self._after_link) or page(environ)
        return page(environ)

    def _nothing_live(self, environ: WSGIEnvironment) -> WSGIApplication:
        return error_pages.error(
            environ, 404, "There is no live page here; with its token this link opens tracebacks."
        )

    def _metrics(self, environ: WSGIEnvironment) -> WSGIApplication:
        try:
            sums = self._app.monitor().total()
        except (ConfigError, OSError) as exc:
            # Sums without the other workers would be wrong, and worse than none.
            logger.error("metrics can't be told: %s", exc)
            return error_pages.error(
                environ, 503, "The numbers of the other workers can't be read, see the log."
            )

        body, media_type = prometheus.expose(
            sums, ",".join(first_elements(environ.get("HTTP_ACCEPT", "")))
        )
        return Response().data(body, media_type).header("Cache-Control", "no-store")

    def _health(self, environ: WSGIEnvironment) -> WSGIApplication:
        monitor = self._app.monitor()
        is_draining = monitor.process.is_draining
        state: Facts = {
            "status": "draining" if is_draining else "ready",
            "connections": monitor.process.connection_count,
        }
        backplane = monitor.backplane
        if backplane is not None:
            # Without its error, which names hosts: anybody may ask.
            state["backplane"] = {
                "kind": backplane.kind,
                "is_up": backplane.is_up,
                "siblings": backplane.siblings,
                "queued_messages": backplane.queued_messages,
            }

        if monitor.process.fanout.reading is not None:
            state["history"] = {"is_up": not monitor.process.history_error}

        response = Response().status(503 if is_draining else 200)
        response.header("Cache-Control", "no-store")
        return response.data(jsontext.encode_bytes(state), "application/json")
