"""Pages that load again by themselves while somebody works on them, under `serve --reload`.

A worker appends a script to each HTML page that a browser opens. The script connects to a WebSocket
route of ours, which sends the version of what is served, a new one after each change. When that
isn't the version of the page, the script loads the page again.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING
from urllib.parse import quote

from werkzeug.datastructures import Headers
from werkzeug.wsgi import ClosingIterator

from ..app import App, apps_of_this_process
from ..hosting import claims
from ..http import own_files
from ..protocol.frames import CloseCode
from ..routing.router import Router

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from ..websocket.connection import Connection

SCRIPT_PATH = "/__tina4/reload.js"
SOCKET_PATH = "/__tina4/reload"

_TAG = '<script src="{}?version={}"></script>\n'
# What browsers open as a page: values of Sec-Fetch-Dest.
_DOCUMENTS = frozenset({"document", "iframe", "frame"})
_OWN_DRAIN_S = 1.0
_LOGS = ("tina4_wsgi.access", "tina4_wsgi.connection")
# Part of a page, a compressed page or a 304 leaves no place for the script: don't ask for these.
_NOT_ASKED = (
    "HTTP_ACCEPT_ENCODING",
    "HTTP_IF_MATCH",
    "HTTP_IF_MODIFIED_SINCE",
    "HTTP_IF_NONE_MATCH",
    "HTTP_IF_RANGE",
    "HTTP_IF_UNMODIFIED_SINCE",
    "HTTP_RANGE",
)
_NOT_SAID = ("Accept-Ranges", "ETag", "Last-Modified")
_RETRY_MS = 100
"""When the browser client comes back; if too early, it waits in the listening socket's queue."""


class Refreshing:
    """An application around the one that is being worked on.

    Attributes:
        config: that application's settings, for the server.
        drains: the applications that `drain` drains, which need no stop guard of their own.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app
        self._version = secrets.token_hex(8)
        router = Router()
        router.websocket(SOCKET_PATH, self._greet)
        # Other processes have pages of their own. Versions are no secret, so any host may ask.
        self._own = App(router=router, backplane="none", allowed_hosts="*", debug=False)
        self.drains = (self._own, app)
        self.config: object = getattr(app, "config", None)  # the server checks its type

        for one in apps_of_this_process():
            one.templates.environment.auto_reload = True
            one.warn_of_lost_broadcasts()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        path = environ.get("PATH_INFO")
        if path == SOCKET_PATH:
            return self._own(environ, start_response)
        if path == SCRIPT_PATH:
            return own_files.send("reload.js", environ)(environ, start_response)
        if not _opens_a_page(environ):
            return self._app(environ, start_response)

        script = quote(environ.get("SCRIPT_NAME", "").encode("latin-1")) + SCRIPT_PATH
        page = _Page(start_response, _TAG.format(script, self._version).encode())
        asked = {name: value for name, value in environ.items() if name not in _NOT_ASKED}
        body = self._app(asked, page)
        return ClosingIterator(page.of(body), getattr(body, "close", None))

    def claims_upgrade(self, environ: WSGIEnvironment) -> bool:
        """Return whether an App answers this upgrade itself; see `Server`."""
        if environ.get("PATH_INFO") == SOCKET_PATH:
            return True
        return claims.claims_upgrade(self._app, environ)

    def drain(self, timeout_s: float) -> None:
        """Close every WebSocket with 1001, and wait until all are closed."""
        drain = getattr(self._app, "drain", None)
        if drain is not None:
            drain(timeout_s)
        self._own.drain(min(_OWN_DRAIN_S, timeout_s))

    def refresh(self) -> None:
        """Make all open pages load again, without waiting for them."""
        self._version = secrets.token_hex(8)
        self._own.broadcast(SOCKET_PATH, self._version)

    def _greet(self, connection: Connection, event: str, data: str | bytes) -> None:
        if event == "open":
            connection.send(self._version)


def say_restart() -> None:
    """Close every WebSocket of this process with 1012: a new process will serve in a moment."""
    for app in apps_of_this_process():
        app.dismiss(CloseCode.SERVICE_RESTART, f"restarting; retry in {_RETRY_MS} ms")


def leave_own_lines_out() -> None:
    """Keep the script's requests and connections out of logs that aren't at level debug."""
    for name in _LOGS:
        log = logging.getLogger(name)
        if not log.isEnabledFor(logging.DEBUG):
            log.addFilter(_is_the_users)


def _is_the_users(record: logging.LogRecord) -> bool:
    # The path of the script begins with that of the socket.
    return record.levelno > logging.INFO or SOCKET_PATH not in record.getMessage()


def _opens_a_page(environ: WSGIEnvironment) -> bool:
    if environ["REQUEST_METHOD"] not in ("GET", "POST"):
        return False
    # Browsers name the destination of a request, except over http: from other machines. There the
    # media types that they accept must do.
    destination = environ.get("HTTP_SEC_FETCH_DEST")
    if destination is not None:
        return destination in _DOCUMENTS
    return "text/html" in environ.get("HTTP_ACCEPT", "")


class _Page:
    """A `start_response` that notices pages, and adds the script to their length."""

    def __init__(self, start_response: StartResponse, tag: bytes) -> None:
        self._start_response = start_response
        self._tag = tag
        self._is_page = False

    def __call__(
        self, status: str, fields: list[tuple[str, str]], exc_info: OptExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        headers = Headers(fields)
        self._is_page = (
            headers.get("Content-Type", "").partition(";")[0].strip().lower() == "text/html"
            and "Content-Encoding" not in headers
            and not headers.get("Content-Disposition", "").lower().startswith("attachment")
            and status[:3] not in ("204", "304")
        )
        if self._is_page:
            for name in _NOT_SAID:
                headers.remove(name)
            headers["Cache-Control"] = "no-store"
            if "Content-Length" in headers:
                headers["Content-Length"] = str(int(headers["Content-Length"]) + len(self._tag))

        return self._start_response(
            status, headers.to_wsgi_list(), *([exc_info] if exc_info else [])
        )

    def of(self, body: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the body, and the script at the end of a page."""
        yield from body
        if self._is_page:
            yield self._tag
