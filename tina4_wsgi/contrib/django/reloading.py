"""The process above Django's development server: `supervision.reloader`, for manage.py.

The child runs the same command again, with the standard library patched before anything of Django's
or the project's is imported, whatever manage.py holds. It watches its files by Django's
autoreloader, whose signals and settings a project may use, and ends when a file has changed. When
the child fails to start, this process waits for a change.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from django.utils import autoreload

from ...supervision.reloader import Reloader
from ...supervision.watcher import Watcher
from ...supervision.worker import Worker

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

# `python -m gevent.monkey manage.py` would look for modules in the current folder, not beside
# manage.py.
_PROGRAM = (
    "from gevent import monkey; monkey.patch_all(); import runpy, sys; "
    "run, sys.path[0] = sys.argv[1:3]; del sys.argv[:3]; getattr(runpy, run)(sys.argv[0], "
    "run_name='__main__')"
)
_INSTALLED = frozenset({"site-packages", "dist-packages"})


def patched_command(command: Sequence[str | Path]) -> list[str]:
    """Return a Python command that does the same with the standard library patched at its start.

    Args:
        command: as `get_child_arguments` returns it: interpreter, its options, `-m` and a module or
            a script, arguments.
    """
    words = list(map(str, command))
    begin = next(
        (at for at, word in enumerate(words[1:], 1) if not word.startswith(("-W", "-X"))),
        len(words),
    )
    interpreter, target = words[:begin], words[begin:]

    if target[0] == "-m":
        return [*interpreter, "-c", _PROGRAM, "run_module", os.getcwd(), *target[1:]]
    return [
        *interpreter,
        "-c",
        _PROGRAM,
        "run_path",
        str(Path(target[0]).resolve().parent),
        *target,
    ]


def keep_serving(command: Sequence[str], listener: socket.socket) -> int:
    """Run a server in one child process after the other until a signal; return the exit code.

    Args:
        command: the child's; the option that hands `listener` on is appended.
        listener: what the children serve on.
    """
    # Settings that start something only once look for it.
    os.environ[autoreload.DJANGO_AUTORELOAD_ENV] = "true"
    reloader = Reloader(
        lambda: Worker(lambda inherited: [*command, inherited], listener),
        Watcher(_source_folders()),
        listener,
        workers_watch=True,
    )
    return reloader.run()


def _source_folders() -> list[Path]:
    """Return the folders of sys.path that may hold the project's own modules.

    These are all but those of Python itself and of installed packages.
    """
    own = Path(sysconfig.get_path("stdlib"))
    folders = [Path(name).resolve() for name in sys.path]
    return [
        one
        for one in folders
        if one.is_dir() and not (one.is_relative_to(own) or _INSTALLED & {*one.parts})
    ]
