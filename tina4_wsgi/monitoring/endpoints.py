"""Addresses that the framework itself answers: numbers and health, each only where a setting says
so.

They come before the routes and before a legacy app, and nothing else below their names is taken.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from .. import jsontext
from ..config import Config
from ..errors import ConfigError
from ..http import error_pages
from ..http.headers import first_elements
from ..http.response import Response
from ..protocol import handshake
from ..routing.matching import Match, Route
from ..routing.paths import LIVE_PAGE, normal_path
from ..websocket.bridge import Bridge
from . import prometheus
from .live_feed import SOCKET_PATH
from .live_page import LivePage, auth_of
from .monitor import Monitor
from .start_link import StartLink

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

    from ..app import App
    from ..routing.callbacks import Auth

logger = logging.getLogger("tina4_wsgi.metrics")

_READING = ("GET", "HEAD")
_ALLOWED = ("Allow", "GET, HEAD, OPTIONS")
_MOST_WATCHERS_OVER_CAP = 8  # of the descriptors that are reserved for other things


class Owner(Protocol):
    """The app, as its own pages see it."""

    config: Config

    def monitor(self) -> Monitor: ...


class Endpoints:
    """The pages of one app.

    Raises:
        ConfigError: `live` is no callable, `metrics` is set without prometheus_client, or two pages
            have one address.

    Attributes:
        paths: their addresses; empty where there are none.
        live: the live page, None where there is none.
        is_shared: whether they tell of all workers; the live page of `debug` alone doesn't.
    """

    def __init__(
        self, app: App, live: Auth | bool | None, bridge: Bridge | None, link: StartLink | None
    ) -> None:
        self._app: Owner = app
        self._link = link
        config = self._app.config
        self.paths: dict[str, Callable[[WSGIEnvironment], WSGIApplication]] = {}
        if config.metrics:
            prometheus.check()
            self.paths[normal_path(config.metrics)] = self._metrics
        if config.health:
            if normal_path(config.health) in self.paths:
                raise ConfigError(
                    f"health={config.health!r} is the address of metrics too, expected another"
                )
            self.paths[normal_path(config.health)] = self._health
        has_live, auth = auth_of(live, config.debug)
        self.live = LivePage(self._app, auth, bridge, link) if has_live else None
        if self.live is not None:
            self.paths |= dict.fromkeys(self.live.paths, self.live.page)
        if link is not None:
            self.paths.setdefault(LIVE_PAGE, self._nothing_live)
            self._after_link = LIVE_PAGE if has_live else "/"
        self.is_shared = bool(config.metrics) or auth is not None

    def match(self, path: str) -> Match | None:
        """Find a WebSocket route of our own."""
        return self.live.socket if self.live is not None and path == SOCKET_PATH else None

    def spare(self, route: Route) -> int:
        """Say how many connections of a route may come over the cap: who looks why a worker is full
        gets in.
        """
        return (
            _MOST_WATCHERS_OVER_CAP
            if self.live is not None and route is self.live.socket.route
            else 0
        )

    def is_health(self, environ: WSGIEnvironment) -> bool:
        """Say whether a request is for the health page."""
        page = self.paths.get(normal_path(environ.get("PATH_INFO") or "/"))
        return page == self._health and not handshake.wants_websocket(environ)

    def find(self, environ: WSGIEnvironment) -> WSGIApplication | None:
        """Give the answer to a request for one of them, None for any other request."""
        path = environ.get("PATH_INFO") or "/"
        page = self.paths.get(path) or (
            self.paths.get(normal_path(path)) if path[-1] == "/" else None
        )
        if page is None or handshake.wants_websocket(environ):
            return None
        method = environ["REQUEST_METHOD"]
        if method == "OPTIONS":  # with which HAProxy asks for a health page
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
            # Without the other workers the sums would be wrong, and no sums are better than those.
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
        state: dict[str, Any] = {
            "status": "draining" if is_draining else "ready",
            "connections": monitor.process.connection_count,
        }
        backplane = monitor.backplane
        if backplane is not None:
            # Not its error: that names hosts, and anybody may ask.
            state["backplane"] = {
                "kind": backplane.kind,
                "is_up": backplane.is_up,
                "siblings": backplane.siblings,
                "queued_messages": backplane.queued_messages,
            }
        response = (
            Response().status(503 if is_draining else 200).header("Cache-Control", "no-store")
        )
        return response.data(jsontext.encode_bytes(state), "application/json")
