"""The process above the development server: it starts it with patched modules, and again after each change.

How it works. The child runs the same command again, with the standard library patched before anything of Django's
or the project's is imported, whatever manage.py holds. It watches its own files with Django's reloader, and ends with
`RELOAD` when one has changed. When it fails while it starts, this process waits for a change.

The child holds the reading end of a pipe, its lifeline, and stops gracefully when the other end is closed: because
this process was told to stop, or because it is no more. A signal wouldn't do: of ^C in a terminal both hear, and
a second one stops at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from django.utils import autoreload

RELOAD = 3  # as Django's reloader has it
CAN_NOT_SERVE = 4  # no change of a file will help, as when the port is in use

# `python -m gevent.monkey manage.py` would look for modules in the current folder, not beside manage.py.
_PROGRAM = (
    "from gevent import monkey; monkey.patch_all(); import runpy, sys; "
    "run, sys.path[0] = sys.argv[1:3]; del sys.argv[:3]; getattr(runpy, run)(sys.argv[0], run_name='__main__')"
)

_POLL_S = 0.05
_LOOK_S = 1.0


def patched_command(command: Sequence[str | Path]) -> list[str]:
    """Give a command of Python's that does the same with the standard library patched from the start.

    Args:
        command: as `get_child_arguments` gives it: interpreter, its options, `-m` and a module or a script, arguments.
    """
    words = list(map(str, command))
    begin = next((at for at, word in enumerate(words[1:], 1) if not word.startswith(("-W", "-X"))), len(words))
    interpreter, target = words[:begin], words[begin:]
    if target[0] == "-m":
        return [*interpreter, "-c", _PROGRAM, "run_module", os.getcwd(), *target[1:]]
    return [*interpreter, "-c", _PROGRAM, "run_path", str(Path(target[0]).resolve().parent), *target]


class Supervisor:
    """Runs a server in child processes, one after the other, until one ends by itself or this process shall stop.

    Args:
        command: of the child; `--lifeline` and a descriptor are added.
        say: tells the user a line.
    """

    def __init__(self, command: Sequence[str], say: Callable[[str], object]) -> None:
        self._command = list(command)
        self._say = say
        self._child: subprocess.Popen[bytes] | None = None
        self._lifeline_fd: int | None = None
        self._is_stopping = False

    def run(self) -> int:
        """Run until the end, and give the exit code: the child's, or 128 and the signal that killed it."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        os.environ[autoreload.DJANGO_AUTORELOAD_ENV] = "true"  # settings that start things once look for it
        while True:
            files = self._files()  # from before it starts, so that no change is missed
            exit_code = self._run_child()
            if self._is_stopping or exit_code in (0, CAN_NOT_SERVE) or exit_code < 0:
                return exit_code if exit_code >= 0 else 128 - exit_code
            if exit_code != RELOAD:
                self._say("waiting for a change of a file")
                while self._files() == files:
                    if self._is_stopping:
                        return exit_code
                    time.sleep(_LOOK_S)

    def _run_child(self) -> int:
        reading_fd, self._lifeline_fd = os.pipe()
        try:
            command = [*self._command, "--lifeline", str(reading_fd)]
            self._child = subprocess.Popen(command, pass_fds=(reading_fd,))
            os.close(reading_fd)
            # Polled, since in a patched process a signal would not be looked at while this waits.
            while (exit_code := self._child.poll()) is None:
                time.sleep(_POLL_S)
            return exit_code
        finally:
            self._cut_lifeline()
            self._child = None

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._is_stopping and self._child is not None:
            self._child.kill()
        self._is_stopping = True
        self._cut_lifeline()

    def _cut_lifeline(self) -> None:
        lifeline_fd, self._lifeline_fd = self._lifeline_fd, None
        if lifeline_fd is not None:
            os.close(lifeline_fd)

    def _files(self) -> dict[Path, float]:
        """Give the times of change of what this process has imported, and of all Python files of the project."""
        watcher = autoreload.StatReloader()
        watcher.watch_dir(Path(sys.path[0] or "."), "**/*.py")
        return dict(watcher.snapshot_files())
