"""The process above a development server: it starts the server again when code has changed.

It holds the listening socket, so clients that connect while there is no server wait for the next
one: a page that is loaded then, or that comes back by itself, never meets an error.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from .keeper import Keeper
from .orders import CHANGED, REFRESH
from .worker import how_it_ended

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from .watcher import Changes, Watcher
    from .worker import Worker

log = logging.getLogger("tina4_wsgi.reload")

_MOST_NAMES = 3


class Reloader(Keeper):
    """Keeps one worker with the newest code, until a signal.

    SIGHUP ends this process, as it does when its terminal is closed, and the worker then stops.

    Args:
        start: starts a worker.
        watcher: of the project's files.
        listener: what the workers listen on; closed here at the end.
        on_ready: called once, when the first worker serves.
        workers_watch: whether a worker watches its files itself and exits with `CHANGED`. Then
            `watcher` only tells when to start again after a worker that failed.
    """

    _WAIT_S = 0.25

    def __init__(
        self,
        start: Callable[[], Worker],
        watcher: Watcher,
        listener: socket.socket,
        on_ready: Callable[[], None] = lambda: None,
        *,
        workers_watch: bool = False,
    ) -> None:
        super().__init__(start, listener, on_ready)

        self._watcher = watcher
        self._workers_watch = workers_watch
        self._wants_start = True

    def _fill_up(self) -> None:
        if not self._workers and self._wants_start:
            self._watcher.changes()  # the new worker begins with all of these
            self._workers.append(self._start())
            self._wants_start = False

    def _look(self) -> None:
        if self._workers_watch and (self._workers or self._wants_start):
            return
        changes = self._watcher.changes()
        if changes is not None:
            self._take(changes)

    def _take(self, changes: Changes) -> None:
        if changes.code:
            log.info("%s changed, starting again", _names(changes.code))
            self._wants_start = True
            for worker in self._workers:
                worker.restart()
        elif self._workers:
            log.info("%s changed, pages load again", _names(changes.pages))
            for worker in self._workers:
                worker.order(REFRESH)

    def _worker_ended(self, worker: Worker, code: int) -> None:
        if code == 0:
            self._stop()  # a stop signal reached the worker itself
        elif self._workers_watch and code == CHANGED:
            self._wants_start = True
        else:
            log.error(
                "the server ended %s; it starts again when a file has changed", how_it_ended(code)
            )


def _names(paths: Sequence[str]) -> str:
    names = ", ".join(os.path.relpath(path) for path in paths[:_MOST_NAMES])
    return names if len(paths) <= _MOST_NAMES else f"{names} and {len(paths) - _MOST_NAMES} more"
