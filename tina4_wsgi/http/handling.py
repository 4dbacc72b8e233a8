"""Answers every request that isn't an upgrade: by our routes, public files, or the legacy app.

A path of one of our routes is ours with every method: a wrong method is answered 405 here and never
reaches the legacy app. All other requests go there unchanged; without a legacy app they are 404.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import WebsocketMismatch
from werkzeug.wsgi import ClosingIterator

from ..errors import Refused, UsageError
from ..routing.paths import decode
from ..spy import spy_of
from . import client_files, error_pages
from .headers import passes_upgrade
from .public_files import PublicFiles
from .request import content_length
from .response import without_body
from .results import Request, Response, answer
from .templating import Templates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from ..config import Config
    from ..monitoring.start_link import StartLink
    from ..routing.params import Params
    from ..routing.router import Route, Router

logger = logging.getLogger("tina4_wsgi.http")

_UPGRADE_WAS_LOST = (
    "a WebSocket client asked for %.200r, but the header Upgrade was lost on the way; in nginx: "
    "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
    "proxy_set_header Connection $connection_upgrade (this is said once)"
)
_NEEDS_UPGRADE = "This address is a WebSocket, open it with the WebSocket protocol."


def decode_path(environ: WSGIEnvironment) -> str:
    """Return the path of a request as text; WSGI passes its bytes as latin-1 (PEP 3333).

    Raises:
        Refused: 400, it isn't UTF-8.
    """
    return decode(environ.get("PATH_INFO") or "/")


class HttpHandling:
    """A WSGI app for all requests that aren't upgrades.

    Attributes:
        templates: the templates of `response.html`; filters and globals may be added.
        tells_empty: whether to log, once for each handler, that it returned nothing; set by `debug`
            and `--reload`.
    """

    def __init__(
        self,
        router: Router,
        config: Config,
        root: Path,
        fallback: WSGIApplication | None = None,
        link: StartLink | None = None,
    ) -> None:
        """Answer by the routes of `router`, then by the files below `root`, then by `fallback`.

        Args:
            link: the link of this start, which opens tracebacks in `debug`.
        """
        self.templates = Templates(root, debug=config.debug)
        self.tells_empty = config.debug

        self._match = router.match_http
        self._config = config
        self._root = root
        self._static = PublicFiles(root)
        self._fallback = fallback
        self._link = link
        self._has_warned = False
        self._told_empty: set[str] = set()

    def put_around_fallback(self, middleware: Callable[[WSGIApplication], WSGIApplication]) -> None:
        """Put middleware around the legacy application.

        Raises:
            UsageError: there is none.
        """
        if self._fallback is None:
            raise UsageError("this app wraps no other one, expected App(wsgi_app)")
        self._fallback = middleware(self._fallback)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        path = environ.get("PATH_INFO") or "/"
        # Own files come first: a route for every path, as single-page apps have, would hide them.
        if (file := self._own_file(environ, path)) is not None:
            return file(environ, start_response)

        try:
            if not path.isascii():
                path = decode_path(environ)
            route, params = self._match(path, environ["REQUEST_METHOD"])
        except (HTTPException, Refused) as exc:
            unmatched = self._without_route(environ, path, exc)
        else:
            return self._by_route(environ, start_response, route, params)

        # Not in the `except`: what the legacy app raises there would have `exc` as its context, in
        # its logs and on its error pages.
        return unmatched(environ, start_response)

    def _by_route(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        route: Route,
        params: Params,
    ) -> Iterable[bytes]:
        request = Request(environ, params, self._config)
        try:
            if environ.get("CONTENT_LENGTH"):
                content_length(environ, self._config.max_body_bytes)

            response = Response(request, self.templates, self._root)
            result = route.callback(request, response)
            app = answer(result, response)
            if result is None and self.tells_empty and response.is_untouched:
                self._tell_empty(route)
            if app is not response:
                start_response = _Restartable(start_response)
            body = app(environ, start_response)
        except Exception as exc:  # noqa: BLE001  # the handler's code: log it and answer
            body = self._failed(environ, route, exc)(environ, start_response)
        else:
            if app is not response and environ["REQUEST_METHOD"] == "HEAD":
                body = without_body(body)

        return ClosingIterator(body, request.close) if request.holds_files else body

    def _tell_empty(self, route: Route) -> None:
        if route.location not in self._told_empty:
            self._told_empty.add(route.location)
            logger.warning(
                "the handler of %s returned nothing, so its answer is an empty 204; return what it "
                "answers, or call response.status(204) if it is meant, at %s",
                route.path,
                route.location,
            )

    def _own_file(self, environ: WSGIEnvironment, path: str) -> WSGIApplication | None:
        if (
            self._link is not None
            and (file := error_pages.debugger_file(environ, self._link)) is not None
        ):
            return file
        if self._config.browser_client and path.startswith(client_files.PREFIX):
            return client_files.find(path, environ)
        return None

    def _failed(self, environ: WSGIEnvironment, route: Route, exc: Exception) -> WSGIApplication:
        if isinstance(exc, HTTPException):
            try:
                return error_pages.http_error(environ, exc)
            except UsageError as refusal:  # it has headers that may not go on the wire
                exc = refusal

        logger.error(
            "%s %.200r failed in %s at %s",
            environ["REQUEST_METHOD"],
            environ.get("PATH_INFO"),
            route.path,
            route.location,
            exc_info=exc,
        )

        if (spy := spy_of(environ)) is not None:
            spy.failed(exc)
        return error_pages.failure(environ, exc, self._link)

    def _without_route(
        self, environ: WSGIEnvironment, path: str, exc: Exception
    ) -> WSGIApplication:
        if isinstance(exc, MethodNotAllowed):
            return _wrong_method(environ, exc)
        if isinstance(exc, WebsocketMismatch):
            if "HTTP_SEC_WEBSOCKET_KEY" in environ and not self._has_warned:
                self._has_warned = True
                logger.warning(_UPGRADE_WAS_LOST, path)
            # The legacy app may have a page at the address of a WebSocket.
            return self._fallback or _upgrade_required

        if isinstance(exc, NotFound) and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            try:
                file = self._static.find(path, environ)
            except HTTPException as refusal:  # a range that begins after the end of the file
                return error_pages.http_error(environ, refusal)
            if file is not None:
                return file

        if self._fallback is not None:
            return self._fallback
        if isinstance(exc, Refused):
            return error_pages.error(environ, exc.status, exc.message)
        return error_pages.error(environ, 404, "There is nothing at this address.")


def _wrong_method(environ: WSGIEnvironment, exc: MethodNotAllowed) -> Response:
    allowed = ", ".join(sorted({*(exc.valid_methods or ()), "OPTIONS"}))
    if environ["REQUEST_METHOD"] == "OPTIONS":
        return Response().status(204).header("Allow", allowed)
    return error_pages.error(environ, 405, f"This address takes {allowed}.", [("Allow", allowed)])


def _upgrade_required(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    body = _NEEDS_UPGRADE.encode() + b"\n"
    fields = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    if passes_upgrade(environ):
        fields.append(("Upgrade", "websocket"))
    start_response("426 Upgrade Required", fields)
    return () if environ["REQUEST_METHOD"] == "HEAD" else (body,)


class _Restartable:
    """A `start_response` for an app that may fail after it has called it.

    The page of the error then calls it again, which WSGI allows only with the exception.
    """

    def __init__(self, start_response: StartResponse) -> None:
        self._start_response = start_response
        self._has_begun = False

    def __call__(
        self, status: str, fields: list[tuple[str, str]], exc_info: OptExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        if self._has_begun and exc_info is None:
            exc_info = sys.exc_info()
        self._has_begun = True
        return self._start_response(status, fields, *([exc_info] if exc_info else []))
