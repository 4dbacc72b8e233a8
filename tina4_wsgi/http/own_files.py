"""Serves the files of this package to browsers: scripts, styles and pages, below `browser`.

They are read as resources, because the package may lie in a zip. A package that was packed without
them says so in its answer and in the log, instead of failing with an error about some path.
"""

from __future__ import annotations

import atexit
import functools
import logging
from contextlib import ExitStack
from importlib import resources
from typing import TYPE_CHECKING

from ..logs import IS_STATIC
from . import error_pages, files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

logger = logging.getLogger("tina4_wsgi.ownfiles")

_HOW_TO_PACK = (
    "PyInstaller and Nuitka take them along with their options for the data files of tina4_wsgi"
)

_unpacked = ExitStack()
atexit.register(_unpacked.close)


def send(
    name: str, environ: WSGIEnvironment, headers: Mapping[str, str] | None = None
) -> WSGIApplication:
    """Answer with a file, or with 500 and a sentence if it is missing.

    Args:
        name: the path below `browser`, as "live/live.css".
        headers: further header fields, in place of those of the same name.
    """
    try:
        response = files.send(str(_path_of(name)), environ)
    except OSError as exc:
        sentence = f"tina4_wsgi was packed without its own files: browser/{name} is missing"
        logger.error("%s (%s); %s", sentence, exc, _HOW_TO_PACK)
        return error_pages.error(
            environ, 500, f"{sentence}. {_HOW_TO_PACK}.", [("Cache-Control", "no-store")]
        )

    environ[IS_STATIC] = True
    for field, value in (headers or {}).items():
        response.headers[field] = value
    return response


@functools.cache
def _path_of(name: str) -> Path:
    """Return a path on disk; a file in a zip is unpacked until the process ends."""
    resource = resources.files("tina4_wsgi").joinpath("browser", *name.split("/"))
    return _unpacked.enter_context(resources.as_file(resource))
