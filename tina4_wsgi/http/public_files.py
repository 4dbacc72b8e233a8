"""Serves the files of `src/public`, for requests that no route takes.

A path is refused before the disk is asked, as if nothing were there, if one of its segments may be
anything but a name: empty, "..", hidden, with a backslash or a control character. Then the real
path of the file, with all links followed, must still lie in the folder.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from werkzeug.wrappers import Response as WerkzeugResponse

from ..logs import IS_STATIC
from . import files

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

FOLDER = Path("src", "public")
"""The folder of public files, relative to the root of an app."""

INDEX = "index.html"
"""The file that answers for its folder."""

_PATH_SAFE = "/!$&'()*+,:;=@~"
_NO_NAME = re.compile(r"[\x00-\x1f\x7f\\]")


class PublicFiles:
    """The public files of one app; nothing outside the folder is ever sent."""

    def __init__(self, root: Path) -> None:
        self._folder = os.path.realpath(root / FOLDER)

    def find(self, path: str, environ: WSGIEnvironment) -> WSGIApplication | None:
        """Return the answer for a path, None if no public file has it.

        Args:
            path: decoded, with its leading slash.
            environ: of a GET or HEAD.
        Raises:
            RequestedRangeNotSatisfiable: the client wants a part of the file that isn't there.
        """
        relative = path[1:]
        name = (
            relative.rstrip("/")
            if relative.endswith("/") and not relative.endswith("//")
            else relative
        )
        if not _is_public_name(name):
            return None

        place = f"{self._folder}/{name}" if name else self._folder
        kind = _kind(place)
        if kind is None:
            return None
        if stat.S_ISDIR(kind):
            return self._index(place, path, environ)
        return None if path.endswith("/") else self._send(place, environ)

    def _index(self, folder: str, path: str, environ: WSGIEnvironment) -> WSGIApplication | None:
        page = f"{folder}/{INDEX}"
        if path.endswith("/"):
            return self._send(page, environ)
        if self._is_inside(page) and _kind(page) is not None:
            return _with_slash(environ)
        return None

    def _send(self, place: str, environ: WSGIEnvironment) -> WSGIApplication | None:
        kind = _kind(place)
        # A pipe or a device would be read for ever.
        if kind is None or not stat.S_ISREG(kind) or not self._is_inside(place):
            return None
        try:
            answer = files.send(os.path.realpath(place), environ)
        except OSError:
            return None  # not readable, or gone just now

        environ[IS_STATIC] = True
        return answer

    def _is_inside(self, place: str) -> bool:
        real = os.path.realpath(place)
        below = os.path.relpath(real, self._folder)
        return _is_public_name(below)


def _is_public_name(relative: str) -> bool:
    if _NO_NAME.search(relative):
        return False
    return not relative or all(segment and segment[0] != "." for segment in relative.split("/"))


def _kind(place: str) -> int | None:
    try:
        return os.stat(place).st_mode
    except (OSError, ValueError):
        return None


def _with_slash(environ: WSGIEnvironment) -> WSGIApplication:
    """Redirect the browser to the folder's own address, so that relative links in its page work."""
    address = (environ.get("SCRIPT_NAME", "") + environ["PATH_INFO"]).encode("latin-1")
    query = environ.get("QUERY_STRING", "")
    location = quote(address, safe=_PATH_SAFE) + "/" + (f"?{query}" if query else "")
    return WerkzeugResponse(status=307, headers={"Location": location})
