"""The live page: a page, its files, and a WebSocket route of the framework itself.

The app's `live` callable decides who may see it. Without one, there is a live page in `debug`
alone, for browsers that have followed the link of this start. The socket is guarded further: it
requires an `Origin`, which must be the page's own, whatever `allowed_origins` says, and it checks
the user again before it closes connections.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from werkzeug.exceptions import Forbidden, HTTPException

from .. import jsontext
from ..addresses import forwarded
from ..errors import ConfigError, Refused, UsageError
from ..hosting import allowed_hosts
from ..http import error_pages, own_files
from ..http.response import Response
from ..protocol import handshake
from ..protocol.frames import CloseCode, close_payload
from ..routing import callbacks
from ..routing.matching import Match, Route
from ..routing.names import check_name
from ..routing.params import Params
from ..routing.paths import LIVE_PAGE, normal_path
from ..websocket.bridge import ANONYMOUS, bodiless
from ..websocket.connection import lifecycle_of
from ..websocket.served_route import ServedRoute
from . import live_feed
from .live_feed import SOCKET_PATH

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

    from ..app import App
    from ..backplane.contract import Facts
    from ..http.request import Request
    from ..routing.callbacks import Auth
    from ..websocket.bridge import Bridge
    from ..websocket.connection import Connection
    from .monitor import Monitor
    from .start_link import StartLink

logger = logging.getLogger("tina4_wsgi.live")

_FILES = {
    f"{LIVE_PAGE}/{name}": name
    for name in ("live.css", "live.js", "chart.js", "console.js", "table.js")
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src "
    "'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_MOST_QUEUED_BYTES = 262_144  # a watcher with more in its queue misses this second's summary
_MOST_SEARCH = 200  # characters
_RECHECK_S = 30.0


class LivePage:
    """The live page of one app.

    Args:
        auth: decides who may see the page, as a route's `auth` does; None for browsers that have
            followed the link of this start.

    Attributes:
        is_shared: whether the page shows all workers; without `auth` it shows its own alone.
        socket: its WebSocket route.
    """

    def __init__(
        self,
        app: App,
        auth: Auth | None,
        bridge: Bridge | None,
        wsgi_app: WSGIApplication | None = None,
    ) -> None:
        self._app = app
        self._auth = auth or partial(_followed, app.start_link)
        self.is_shared = auth is not None
        self._watchers: dict[Connection, dict[str, str]] = {}

        page = Route(
            LIVE_PAGE, LIVE_PAGE, "http", frozenset({"GET", "HEAD"}), _answer_nothing, self._auth
        )
        self._page = Match(page, Params())
        self._service = ServedRoute(page, app.config, bridge, wsgi_app)

        options = {
            "allowed_origins": (),
            "max_message_bytes": 4_096,
            "reauth_every": _RECHECK_S,
            "on_slow": "drop_newest",
            "deflate": False,
            "idle_timeout_s": 0.0,
        }
        socket = Route(
            SOCKET_PATH,
            SOCKET_PATH,
            "websocket",
            frozenset({"GET"}),
            self._serve,
            self._guard,
            options=options,
        )
        self.socket = Match(socket, Params())

    @property
    def paths(self) -> list[str]:
        """The addresses of the page and its files."""
        return [LIVE_PAGE, *_FILES]

    def page(self, environ: WSGIEnvironment) -> WSGIApplication:
        """Answer a request for one of `paths`."""
        try:
            asked, origin = environ.get("HTTP_HOST", ""), environ.get("HTTP_ORIGIN")
            allowed_hosts.check_for_page(environ, self._app.config, asked, origin)
            self._service.admit(bodiless(environ), self._page)
        except Refused as refusal:
            if isinstance(refusal.__cause__, HTTPException):
                # It may redirect to a login.
                return error_pages.http_error(environ, refusal.__cause__)
            asked = (
                "The live page asks for a login."
                if refusal.status < 500
                else "The login failed; the log has more."
            )
            return error_pages.error(
                environ, refusal.status, asked if refusal.status != 421 else refusal.message
            )

        path = environ["PATH_INFO"]
        if path != LIVE_PAGE and normal_path(path) == LIVE_PAGE:
            return Response().redirect(
                "../" * path.removeprefix(LIVE_PAGE).count("/") + "live", 308
            )

        name = _FILES.get(normal_path(path), "index.html")
        headers = {"Cache-Control": "no-cache, private"}
        if name == "index.html":
            headers["Content-Security-Policy"] = _POLICY
            headers["Referrer-Policy"] = "no-referrer"
            headers["X-Frame-Options"] = "DENY"
        return own_files.send(f"live/{name}", environ, headers)

    def _guard(self, request: Request) -> object:
        environ = request.environ
        # The page asks by plain HTTP, too, how a handshake would be answered.
        if handshake.wants_websocket(environ):
            if not environ.get("HTTP_ORIGIN"):
                raise Forbidden("the live page's own script may connect, and that says its Origin")
            trusted = self._app.config.trusted_proxies
            handshake.check_page(environ, forwarded.host(environ, trusted), (), trusted)
        return self._auth(request)

    # -- the socket

    def _serve(self, connection: Connection, event: str, data: str | bytes) -> None:
        monitor = self._app.monitor()
        if event == "open":
            self._watchers[connection] = {"path": "", "search": ""}
            connection.send_json({"type": "history", "totals": list(monitor.feed.history)})
            monitor.watch(self._show)
        elif event == "close":
            self._watchers.pop(connection, None)
            if not self._watchers:
                monitor.watch(None)
        else:
            self._obey(connection, connection.json(data), monitor)

    def _obey(self, connection: Connection, order: object, monitor: Monitor) -> None:
        """Do what the page asks for."""
        if not isinstance(order, dict):
            order = {}

        if order.get("do") == "watch":
            try:
                path = check_name(order.get("path", ""))
            except UsageError as exc:
                connection.send_json({"type": "refused", "message": str(exc)})
                return
            view = {"path": path, "search": str(order.get("search", ""))[:_MOST_SEARCH]}
            self._watchers[connection] = view
            self._show_found(connection, view, monitor)
        elif order.get("do") == "kick":
            if connection.refresh_auth():
                self._kick(connection, order)
        else:
            connection.send_json({"type": "refused", "message": "expected do: watch or kick"})

    def _show(self, now: Facts, monitor: Monitor) -> None:
        """Send the summary of this second to all watchers."""
        text = jsontext.encode(now)
        watchers = list(self._watchers.items())
        for connection, _ in watchers:
            if not connection.closed and not _is_behind(connection):
                connection.send(text)

        # Afterwards, because a search may take a while.
        for connection, view in watchers:
            if (view["path"] or view["search"]) and not _is_behind(connection):
                self._show_found(connection, view, monitor)

    def _show_found(self, connection: Connection, view: dict[str, str], monitor: Monitor) -> None:
        is_asked = view["path"] or view["search"]
        path = normal_path(view["path"]) if view["path"] else ""
        found = monitor.find(path, view["search"]) if is_asked else live_feed.found_in(())
        if not connection.closed:
            connection.send_json({**found, **view})

    def _kick(self, watcher: Connection, order: Facts) -> None:
        """Close the connections on a path, or the one with an id."""
        path, connection_id = order.get("path"), order.get("id")
        try:
            code = int(order.get("code", CloseCode.POLICY_VIOLATION))
            reason = str(order.get("reason", ""))
            close_payload(code, reason)
            if not any(isinstance(one, str) and one for one in (path, connection_id)):
                raise UsageError("nobody is meant, expected a path or an id")
            for name in filter(None, (path, connection_id)):
                check_name(name)
            if path and normal_path(path) == SOCKET_PATH:
                raise UsageError("these are the watchers themselves")
        except (OverflowError, TypeError, ValueError) as exc:
            watcher.send_json({"type": "refused", "message": str(exc)})
            return

        count = self._app.disconnect(
            path=path or None, connection_id=connection_id or None, code=code, reason=reason
        )
        logger.warning(
            "%s closed %d connections from the live page: %s, %d",
            watcher.ip or "somebody here",
            count,
            f"path {path!r:.200}" if path else f"id {connection_id!r:.40}",
            code,
        )

        if not watcher.closed:
            watcher.send_json({"type": "kicked", "count": count})


def live_page_of(
    app: App,
    live: Auth | bool | None,
    bridge: Bridge | None,
    wsgi_app: WSGIApplication | None = None,
) -> LivePage | None:
    """Make the live page that `App(live=…)` asks for; return None where it asks for none.

    Raises:
        ConfigError: `live` is neither a callable nor False nor None.
    """
    if live is False or (live is None and not app.config.debug):
        return None
    if live is None:
        return LivePage(app, None, bridge)
    if not callable(live):
        raise ConfigError(
            f"live={live!r:.80}, expected a callable(request) that gives who may see the live page"
        )
    try:
        callbacks.check(live, ("request",), "live")
        callbacks.check_is_no_generator(live, "live")
    except UsageError as exc:
        raise ConfigError(f"live: {exc}") from exc

    return LivePage(app, live, bridge, wsgi_app)


def _is_behind(connection: Connection) -> bool:
    return lifecycle_of(connection).transport.queued_bytes > _MOST_QUEUED_BYTES


def _followed(link: StartLink | None, request: Request) -> object:
    if link is None or not link.opens_live_page(request.environ):
        if link is not None:
            link.say()
        raise Forbidden(
            "In debug the live page is opened by a link with a token. The server printed it when "
            "it started, and has written it to its log now. App(live=…) says who may see the page "
            "without it."
        )
    return ANONYMOUS


def _answer_nothing(request: object, response: object) -> None:
    """Stand in for a handler: the route of the page only checks who may see it."""
