"""Our own files for pages: the browser client, at `/__tina4/`.

Only these addresses are taken; whatever else an application has below `/__tina4/` stays its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..logs import IS_STATIC
from . import own_files

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

PREFIX = "/__tina4/"
"""How the paths of our own files begin."""

_NAMES = frozenset({"tina4-ws.js", "tina4-ws.mjs", "tina4-ws.d.ts"})


def find(path: str, environ: WSGIEnvironment) -> WSGIApplication | None:
    """Give the answer to a request for one of our own files, None for any other.

    Args:
        path: decoded, with its leading slash.
    """
    name = path.removeprefix(PREFIX)
    if name not in _NAMES or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return None
    environ[IS_STATIC] = True  # in the environ itself, not in the copy
    # A part of a script is of no use to anybody, and the whole of it is a right answer (RFC 9110
    # §14.2).
    environ = {key: value for key, value in environ.items() if key != "HTTP_RANGE"}
    # A page of another origin, which `allowed_origins` lets connect, may import it too; there is
    # nothing to hide.
    headers = {"Access-Control-Allow-Origin": "*"}
    if name.endswith(".ts"):
        headers["Content-Type"] = "text/plain; charset=utf-8"  # else it would be a film
    return own_files.send(name, environ, headers)
