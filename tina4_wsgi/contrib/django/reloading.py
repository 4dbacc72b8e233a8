"""The process above Django's development server, as `reloading` has it for any.

The child runs the same command again, with the standard library patched before anything of Django's
or the project's is imported, whatever manage.py holds. It watches its own files with Django's
reloader, whose signals and settings a project may use, and ends when one has changed. When it fails
while it starts, this process waits for a change.
"""

from __future__ import annotations

import os
import socket
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from django.utils import autoreload

from ...supervision.reloader import Reloader
from ...supervision.watcher import Watcher
from ...supervision.worker import Worker

# `python -m gevent.monkey manage.py` would look for modules in the current folder, not beside
# manage.py.
_PROGRAM = (
    "from gevent import monkey; monkey.patch_all(); import runpy, sys; "
    "run, sys.path[0] = sys.argv[1:3]; del sys.argv[:3]; getattr(runpy, run)(sys.argv[0], "
    "run_name='__main__')"
)
_INSTALLED = frozenset({"site-packages", "dist-packages"})


def patched_command(command: Sequence[str | Path]) -> list[str]:
    """Give a command of Python's that does the same with the standard library patched from the
    start.

    Args:
        command: as `get_child_arguments` gives it: interpreter, its options, `-m` and a module or a
            script, arguments.
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
    """Run a server in child processes, one after the other, until a signal; gives the exit code.

    Args:
        command: of the child; the option that hands `listener` on is put behind it.
        listener: what they serve on.
    """
    os.environ[autoreload.DJANGO_AUTORELOAD_ENV] = (
        "true"  # settings that start things once look for it
    )
    reloader = Reloader(
        lambda: Worker(lambda inherited: [*command, inherited], listener),
        Watcher(_source_folders()),
        listener,
        workers_watch=True,
    )
    return reloader.run()


def _source_folders() -> list[Path]:
    """Give where the project's own modules may be: all that is looked in, less what came with
    Python or by pip.
    """
    own = Path(sysconfig.get_path("stdlib"))
    folders = [Path(name).resolve() for name in sys.path]
    return [
        one
        for one in folders
        if one.is_dir() and not (one.is_relative_to(own) or _INSTALLED & {*one.parts})
    ]
