"""The process above a development server: it starts the server again when code has changed.

It holds the listening socket, so that whoever connects while there is no server only waits for the
next one: a page that is loaded then, or that comes back by itself, never meets an error. It imports
nothing of the user's.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable, Sequence

from .orders import CHANGED, REFRESH
from .watcher import Changes, Watcher
from .worker import Signals, Worker, how_it_ended

log = logging.getLogger("tina4_wsgi.reload")

LOOK_S = 0.25

_MOST_NAMES = 3


class Reloader:
    """Keeps one worker with the newest code, until a signal.

    Args:
        start: starts a worker.
        watcher: of the project's files.
        listener: what the workers listen on; closed here at the end.
        on_ready: called once, when the first one serves.
        workers_watch: whether a worker looks at its files itself, and ends with `CHANGED`; then
            those of `watcher` only say when to start again after one that failed.
    """

    def __init__(
        self,
        start: Callable[[], Worker],
        watcher: Watcher,
        listener: socket.socket,
        on_ready: Callable[[], None] = lambda: None,
        *,
        workers_watch: bool = False,
    ) -> None:
        self._start = start
        self._watcher = watcher
        self._listener = listener
        self._on_ready = on_ready
        self._workers_watch = workers_watch
        self._has_been_ready = False
        self._worker: Worker | None = None
        self._wants_start = True
        self._is_stopping = False

    def run(self) -> int:
        """Serve until a signal, and give the exit code."""
        signals = Signals(
            signal.SIGINT, signal.SIGTERM
        )  # SIGHUP ends it, as when its terminal is closed
        while not self._is_stopping or self._worker is not None:
            if self._worker is None and self._wants_start:
                self._watcher.changes()  # what has changed until now, it begins with
                self._worker, self._wants_start = self._start(), False
            for number in signals.wait(LOOK_S, [self._worker] if self._worker else []):
                if self._is_stopping:
                    return self._end_at_once(128 + number)
                self._stop()
            self._look_at_worker()
            if self._is_watching() and (changes := self._watcher.changes()) is not None:
                self._take(changes)
        return 0

    def _is_watching(self) -> bool:
        if self._workers_watch and (self._worker is not None or self._wants_start):
            return False
        return not self._is_stopping

    def _take(self, changes: Changes) -> None:
        if changes.code:
            log.info("%s changed, starting again", _names(changes.code))
            self._restart()
        elif self._worker is not None:
            log.info("%s changed, pages load again", _names(changes.pages))
            self._worker.order(REFRESH)

    def _look_at_worker(self) -> None:
        worker = self._worker
        if worker is None:
            return
        code = worker.look()
        if worker.is_ready and not self._has_been_ready:
            self._has_been_ready = True
            self._on_ready()
        if code is None:
            return
        self._worker = None
        if worker.is_ending:
            return
        if code == 0:
            self._stop()  # it was told so itself
        elif self._workers_watch and code == CHANGED:
            self._wants_start = True
        else:
            log.error(
                "the server ended %s; it starts again when a file has changed", how_it_ended(code)
            )

    def _restart(self) -> None:
        self._wants_start = not self._is_stopping
        if self._worker is not None:
            self._worker.restart()

    def _stop(self) -> None:
        self._is_stopping, self._wants_start = True, False
        self._listener.close()
        if self._worker is not None:
            self._worker.stop()

    def _end_at_once(self, code: int) -> int:
        if self._worker is not None:
            self._worker.kill()
            self._worker.wait()
        return code


def _names(paths: Sequence[str]) -> str:
    names = ", ".join(os.path.relpath(path) for path in paths[:_MOST_NAMES])
    return names if len(paths) <= _MOST_NAMES else f"{names} and {len(paths) - _MOST_NAMES} more"
