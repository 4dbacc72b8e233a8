"""The folders in which the server that a publisher means may have been started.

A server names its bus by its working directory, and a cron job runs in another one. So a publisher
that was given no `root` looks for a server in its own working directory first, then above it, then
in the program's folder and above that, and last in Django's BASE_DIR.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def likely_roots() -> tuple[str, ...]:
    """Return the likely working directories of this project's server, the likeliest first."""
    return tuple(dict.fromkeys(map(str, _likely_roots())))


def _likely_roots() -> Iterator[Path]:
    here = Path(os.getcwd())
    yield here
    yield from _above(here)

    program = getattr(sys.modules.get("__main__"), "__file__", None)
    if program:
        folder = Path(program).resolve().parent
        yield folder
        yield from _above(folder)

    # Read only if the program has configured Django: importing it takes a quarter of a second.
    settings = getattr(sys.modules.get("django.conf"), "settings", None)
    if settings is not None and settings.configured and getattr(settings, "BASE_DIR", None):
        yield Path(settings.BASE_DIR).resolve()


def _above(folder: Path) -> Iterator[Path]:
    """Yield the parents of a folder below the user's home, which holds more than one project."""
    home = Path.home()
    for parent in folder.parents:
        if parent in (home, *home.parents):
            return
        yield parent
