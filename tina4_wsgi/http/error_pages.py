"""The pages of errors: short and plain, and silent about the inside of the application.

A failure shows its traceback only with `debug`, in a browser that has followed the link of this
start (see `monitoring.start_link`), on the page of Werkzeug's debugger. The debugger's console,
which would run whatever a page sends, stays off.
"""

from __future__ import annotations

import pkgutil
import traceback
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from markupsafe import escape
from werkzeug.datastructures import MIMEAccept
from werkzeug.debug.tbtools import DebugTraceback
from werkzeug.http import parse_accept_header

from . import files
from .headers import first_elements, phrase
from .response import Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment
    from werkzeug.exceptions import HTTPException

    from ..monitoring.start_link import StartLink

_KINDS = (
    "text/plain",
    "application/json",
    "text/html",
)
"""The media types of our pages; a client that accepts any gets the first."""

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font-family: system-ui, sans-serif; margin: 15vh auto; max-width: 32rem; padding: 0 1rem }}
</style>
<h1>{title}</h1>
<p>{message}</p>
</html>
"""
_HOW_TO_SEE_MORE = (
    "The traceback is in the server's log. To see tracebacks here, open the link with a token that "
    "the server printed when it started."
)
_DEBUGGER_FILES = ("style.css", "debugger.js", "console.png")


def error(
    environ: WSGIEnvironment, status: int, message: str = "", fields: Iterable[tuple[str, str]] = ()
) -> Response:
    """Return the page of an error, as HTML, JSON or text, whichever the client prefers.

    Args:
        message: one sentence for the reader of the page; plain text, which is escaped.
        fields: further header fields.
    """
    response = (
        Response()
        .status(status)
        .header("Vary", "Accept")
        .header("X-Content-Type-Options", "nosniff")
    )
    for name, value in fields:
        response.header(name, value, add=True)

    kind = preferred_kind(environ)
    if kind == "application/json":
        return response.json({"status": status, "error": phrase(status), "message": message})

    title = f"{status} {phrase(status)}"
    if kind == "text/html":
        return response.markup(_PAGE.format(title=escape(title), message=escape(message)))
    return response.text(f"{title}\n{message}\n" if message else f"{title}\n")


def http_error(environ: WSGIEnvironment, exc: HTTPException) -> WSGIApplication:
    """Return the answer that an `HTTPException` asks for."""
    if exc.response is not None or exc.code is None or exc.code < 400:
        return exc.get_response(environ)  # `abort(response)` and redirects bring their own

    message = exc.description if exc.description != type(exc).description else ""
    fields = [field for field in exc.get_headers(environ) if field[0].lower() != "content-type"]
    return error(environ, exc.code, message or "", fields)


def failure(environ: WSGIEnvironment, exc: Exception, link: StartLink | None = None) -> Response:
    """Return the page of an unexpected exception.

    Args:
        link: the link of this start, in `debug` alone: a browser that has followed it is shown the
            traceback.
    """
    if link is None:
        return error(environ, 500)
    if not link.shows_tracebacks(environ):
        return error(environ, 500, _HOW_TO_SEE_MORE)

    response = Response().status(500).header("Cache-Control", "no-store")
    if preferred_kind(environ) != "text/html":
        return response.text("".join(traceback.format_exception(exc)))

    # The first frame is our own call of the handler.
    shown = DebugTraceback(exc, skip=1)
    return response.markup(
        shown.render_debugger_html(evalex=False, secret="", evalex_trusted=False)
    )


def debugger_file(environ: WSGIEnvironment, link: StartLink) -> Response | None:
    """Return a file that the debugger's page asks for, None for any other request."""
    query = parse_qs(environ.get("QUERY_STRING", ""))
    name = query.get("f", [""])[0]
    if (
        query.get("__debugger__") != ["yes"]
        or name not in _DEBUGGER_FILES
        or not link.shows_tracebacks(environ)
    ):
        return None

    content = pkgutil.get_data("werkzeug.debug", f"shared/{name}")
    return None if content is None else Response().data(content, files.media_type(name))


def preferred_kind(environ: WSGIEnvironment) -> str:
    """Return the media type of our pages that the client prefers."""
    accepted = parse_accept_header(
        ",".join(first_elements(environ.get("HTTP_ACCEPT", ""))) or None, MIMEAccept
    )
    # Among equals take the one that the client names first; `best_match` would take our first.
    return max(_KINDS, key=lambda kind: (accepted.quality(kind), -accepted.find(kind)))
