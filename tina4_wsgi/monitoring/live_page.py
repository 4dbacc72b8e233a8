"""The live page: a page, its files, and a WebSocket route of the framework itself.

Who may see it: whoever the app's `live` callable lets in; without one, in `debug` alone, a browser
that has followed the link of this start. The socket is guarded once more: it wants an `Origin`, and
that must be the page's own, whatever `allowed_origins` says; who asks for something to be done is
asked again who they are.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from werkzeug.exceptions import Forbidden, HTTPException

from .. import jsontext
from ..addresses import forwarded
from ..config import Config
from ..errors import ConfigError, Refused, UsageError
from ..hosting import allowed_hosts
from ..http import error_pages, own_files
from ..http.request import Request
from ..http.response import Response
from ..protocol import handshake
from ..protocol.frames import CloseCode, close_payload
from ..routing import callbacks
from ..routing.matching import Match, Route
from ..routing.names import check_name
from ..routing.params import Params
from ..routing.paths import LIVE_PAGE, normal_path
from ..websocket.bridge import ANONYMOUS, Bridge, bodiless
from ..websocket.connection import Connection
from ..websocket.served_route import ServedRoute
from . import live_feed
from .live_feed import SOCKET_PATH
from .monitor import Monitor
from .start_link import StartLink

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

    from ..routing.callbacks import Auth

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
_MOST_QUEUED_BYTES = 262_144  # a watcher that reads more slowly misses a second
_MOST_SEARCH = 200  # characters
_RECHECK_S = 30.0


class Owner(Protocol):
    """The app, as the live page sees it."""

    config: Config

    def monitor(self) -> Monitor: ...
    def disconnect(
        self, *, path: str | None, connection_id: str | None, code: int, reason: str
    ) -> int: ...


class LivePage:
    """The live page of one app.

    Args:
        auth: says who may see it, as a route's `auth` does; None for who has followed the link.
        link: of this start, in `debug` alone.
    """

    def __init__(
        self, app: Owner, auth: Auth | None, bridge: Bridge | None, link: StartLink | None
    ) -> None:
        self._app = app
        self._auth = auth or partial(_followed, link)
        self._watchers: dict[Connection, dict[str, str]] = {}
        page = Route(
            LIVE_PAGE, LIVE_PAGE, "http", frozenset({"GET", "HEAD"}), _answer_nothing, self._auth
        )
        self._page = Match(page, Params())
        self._service = ServedRoute(page, app.config, bridge)
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
                return error_pages.http_error(environ, refusal.__cause__)  # it may lead to a login
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
        if handshake.wants_websocket(
            environ
        ):  # else the page only asks what a handshake would be answered
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

    def _obey(self, connection: Connection, order: Any, monitor: Monitor) -> None:
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

    def _show(self, now: dict[str, Any], monitor: Monitor) -> None:
        """Send the summary of this second to everybody who looks."""
        text = jsontext.encode(now)
        watchers = list(self._watchers.items())
        for connection, _ in watchers:
            if not connection.closed and not _is_behind(connection):
                connection.send(text)
        for connection, view in watchers:  # afterwards: to find somebody may take a while
            if (view["path"] or view["search"]) and not _is_behind(connection):
                self._show_found(connection, view, monitor)

    def _show_found(self, connection: Connection, view: dict[str, str], monitor: Monitor) -> None:
        is_asked = view["path"] or view["search"]
        path = normal_path(view["path"]) if view["path"] else ""
        found = monitor.find(path, view["search"]) if is_asked else live_feed.found_in(())
        if not connection.closed:
            connection.send_json({**found, **view})

    def _kick(self, watcher: Connection, order: dict[str, Any]) -> None:
        path, connection_id = order.get("path"), order.get("id")
        try:
            code, reason = (
                int(order.get("code", CloseCode.POLICY_VIOLATION)),
                str(order.get("reason", "")),
            )
            close_payload(code, reason)
            if not (isinstance(path, str) and path) and not (
                isinstance(connection_id, str) and connection_id
            ):
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


def auth_of(live: Auth | bool | None, debug: bool) -> tuple[bool, Auth | None]:
    """Read `App(live=…)`: whether there is a live page, and who says who may see it.

    Raises:
        ConfigError: it is neither a callable nor False nor None.
    """
    if live is None or live is False:
        return live is None and debug, None
    if not callable(live):
        raise ConfigError(
            f"live={live!r:.80}, expected a callable(request) that gives who may see the live page"
        )
    try:
        callbacks.check(live, ("request",), "live")
        callbacks.check_is_no_generator(live, "live")
    except UsageError as exc:
        raise ConfigError(f"live: {exc}") from exc
    return True, live


def _is_behind(connection: Connection) -> bool:
    return connection.transport.queued_bytes > _MOST_QUEUED_BYTES


def _followed(link: StartLink | None, request: Request) -> object:
    if link is None or not link.opens_live_page(request.environ):
        if link is not None:
            link.say()
        raise Forbidden(
            "In debug the live page is opened by a link with a token. The server printed it when "
            "it started, and has "
            "written it to its log now. App(live=…) says who may see the page without it."
        )
    return ANONYMOUS


def _answer_nothing(request: object, response: object) -> None:
    """Stand in for a handler: the page's route is only asked who comes."""
