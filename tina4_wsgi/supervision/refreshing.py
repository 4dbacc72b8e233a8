"""Pages that load again by themselves while somebody works on them; in a worker of `serve --reload`
alone.

A script is put behind each HTML page that a browser opens. It listens on a WebSocket route of ours,
which says the version of what is served, a new one after each change; the script loads the page
again when that isn't its own.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from werkzeug.datastructures import Headers
from werkzeug.wsgi import ClosingIterator

from ..app import App, apps_of_this_process
from ..config import Config
from ..hosting import claims
from ..http import own_files
from ..protocol.frames import CloseCode
from ..routing.router import Router

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from ..websocket.connection import Connection

SCRIPT_PATH = "/__tina4/reload.js"
SOCKET_PATH = "/__tina4/reload"

_TAG = '<script src="{}?version={}"></script>\n'
_DOCUMENTS = frozenset({"document", "iframe", "frame"})  # what browsers open: Sec-Fetch-Dest
_OWN_DRAIN_S = 1.0
_LOGS = ("tina4_wsgi.access", "tina4_wsgi.connection")
# A part of a page, or the word that it hasn't changed, has no place for the script; nor has a
# compressed one.
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
"""After which the browser client comes back; whoever is early waits in the queue of the listening
socket.
"""


class Refreshing:
    """An application around the one that is being worked on.

    Attributes:
        config: of that one, for the server.
        drains: whom `drain` drains, for whom nobody else need stand guard.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app
        self._version = secrets.token_hex(8)
        router = Router()
        router.websocket(SOCKET_PATH, self._greet)
        # Other processes have pages of their own, and what page asks for a version is nobody's
        # secret.
        self._own = App(router=router, backplane="none", allowed_hosts="*", debug=False)
        self.drains = (self._own, app)
        self.config: Config = getattr(app, "config", None)  # type: ignore[assignment]  # the server looks what it is
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

    def claims_upgrade(self, environ: dict[str, Any]) -> bool:
        """Say whether an App answers this upgrade, see `Server`."""
        if environ.get("PATH_INFO") == SOCKET_PATH:
            return True
        return claims.claims_upgrade(self._app, environ)

    def drain(self, timeout_s: float) -> None:
        """Say 1001 to every client, and wait for the ends."""
        drain = getattr(self._app, "drain", None)
        if drain is not None:
            drain(timeout_s)
        self._own.drain(min(_OWN_DRAIN_S, timeout_s))

    def refresh(self) -> None:
        """Have all open pages load again; doesn't wait for them."""
        self._version = secrets.token_hex(8)
        self._own.broadcast(SOCKET_PATH, self._version)

    def _greet(self, connection: Connection, event: str, data: str | bytes) -> None:
        if event == "open":
            connection.send(self._version)


def say_restart() -> None:
    """Close every WebSocket of this process with 1012: there will be another one in a moment."""
    for app in apps_of_this_process():
        app.dismiss(CloseCode.SERVICE_RESTART, f"restarting; retry in {_RETRY_MS} ms")


def leave_own_lines_out() -> None:
    """Keep what the script asks for, and its comings and goings, out of the log, where it is not at
    level debug.
    """
    for name in _LOGS:
        log = logging.getLogger(name)
        if not log.isEnabledFor(logging.DEBUG):
            log.addFilter(_is_the_users)


def _is_the_users(record: logging.LogRecord) -> bool:
    # The script's address begins as the socket's does.
    return record.levelno > logging.INFO or SOCKET_PATH not in record.getMessage()


def _opens_a_page(environ: WSGIEnvironment) -> bool:
    if environ["REQUEST_METHOD"] not in ("GET", "POST"):
        return False
    # Browsers say for what they ask, except on http: from other machines, where what they accept
    # must do.
    destination = environ.get("HTTP_SEC_FETCH_DEST")
    if destination is not None:
        return destination in _DOCUMENTS
    return "text/html" in environ.get("HTTP_ACCEPT", "")


class _Page:
    """A `start_response` that sees whether an answer is a page, and what stands behind that
    page.
    """

    def __init__(self, start_response: StartResponse, tag: bytes) -> None:
        self._start_response = start_response
        self._tag = tag
        self._is_page = False

    def __call__(
        self, status: str, fields: list[tuple[str, str]], exc_info: Any = None, /
    ) -> Any:  # Any: PEP 3333
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
        """Give the body, and behind that of a page the script."""
        yield from body
        if self._is_page:
            yield self._tag
