"""In which folders a server may have been started that a publisher means: a cron job runs in
another one.

A server names its bus by the folder that it was started in. A publisher that names none looks for a
server in its own folder first, then above it, then where its program lies, and then where Django
says that the project is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path


def likely_roots() -> tuple[str, ...]:
    """Return the folders that a server of this program's project may have been started in, the
    likeliest first.
    """
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

    # Asked only where the program has configured Django: to import it would take a quarter of a
    # second.
    settings = getattr(sys.modules.get("django.conf"), "settings", None)
    if settings is not None and settings.configured and getattr(settings, "BASE_DIR", None):
        yield Path(settings.BASE_DIR).resolve()


def _above(folder: Path) -> Iterator[Path]:
    """Yield the folders above one, but neither the user's home nor the root: these hold more than
    one project.
    """
    home = Path.home()
    for parent in folder.parents:
        if parent in (home, *home.parents):
            return
        yield parent
