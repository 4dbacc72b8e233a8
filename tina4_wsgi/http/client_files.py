"""Serves the browser client to pages, at `/__tina4/`.

Only these addresses are taken; the application keeps all others below `/__tina4/`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..logs import IS_STATIC
from . import own_files

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

PREFIX = "/__tina4/"
"""The beginning of our own files' paths."""

_NAMES = frozenset({"tina4-ws.js", "tina4-ws.mjs", "tina4-ws.d.ts"})


def find(path: str, environ: WSGIEnvironment) -> WSGIApplication | None:
    """Return the answer to a request for one of our own files, None for any other.

    Args:
        path: decoded, with its leading slash.
    """
    name = path.removeprefix(PREFIX)
    if name not in _NAMES or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return None

    environ[IS_STATIC] = True  # in the environ itself, not in the copy
    # Part of a script is of no use, and RFC 9110 §14.2 allows the whole as an answer.
    environ = {key: value for key, value in environ.items() if key != "HTTP_RANGE"}

    # A page of another origin that may connect (`allowed_origins`) may import the client, too.
    headers = {"Access-Control-Allow-Origin": "*"}
    if name.endswith(".ts"):
        headers["Content-Type"] = "text/plain; charset=utf-8"  # ".ts" is also a kind of video
    return own_files.send(name, environ, headers)
