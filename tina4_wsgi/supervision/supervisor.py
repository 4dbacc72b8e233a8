"""Several processes that serve one application on one socket, and the process that keeps them.

A worker that dies is replaced, after a growing pause if it never came to serve. SIGHUP replaces all
workers one after the other: only once the new worker serves is the old one told to stop, so code
that can't be loaded costs nobody a connection.
"""

from __future__ import annotations

import logging
import signal
import time
from collections import deque
from typing import TYPE_CHECKING

from ..errors import Tina4Error
from .keeper import Keeper
from .worker import how_it_ended

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from .worker import Worker

log = logging.getLogger("tina4_wsgi.workers")

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0


class WorkerFailed(Tina4Error):
    """A worker ended before all workers served for the first time."""


class Supervisor(Keeper):
    """Keeps `count` workers until a signal.

    `run` raises `WorkerFailed` if a worker ends before all workers served for the first time.

    Args:
        start: starts a worker.
        count: how many are kept.
        listener: what they listen on; closed here once they are to stop.
        on_ready: called once, when all of them serve.
    """

    _WAIT_S = 0.5

    def __init__(
        self,
        start: Callable[[], Worker],
        count: int,
        listener: socket.socket,
        on_ready: Callable[[], None],
    ) -> None:
        super().__init__(start, listener, on_ready)
        self._actions[signal.SIGHUP] = self._begin_replacing

        self._count = count
        self._to_replace: deque[Worker] = deque()
        self._newcomer: Worker | None = None  # started for the first of `_to_replace`
        self._failures = 0
        self._start_at_s = 0.0

    def _fill_up(self) -> None:
        if time.monotonic() < self._start_at_s:
            return
        staying = sum(not worker.is_ending for worker in self._workers)
        missing = self._count - staying + (self._newcomer is not None)
        self._workers += [self._start() for _ in range(missing)]

    def _look(self) -> None:
        if self._has_been_ready and self._are_ready:
            self._failures = 0
        if self._newcomer is not None and self._newcomer.is_ready:
            self._newcomer = None
            self._to_replace.popleft().stop()

        # One after the other: the last one has gone before the next is replaced.
        is_one_leaving = any(worker.is_ending for worker in self._workers)
        if self._newcomer is None and self._to_replace and not is_one_leaving:
            self._newcomer = self._start()
            self._workers.append(self._newcomer)

    def _begin_replacing(self) -> None:
        if self._is_stopping or not self._has_been_ready:
            return
        log.info("replacing all %d workers, one after the other", self._count)

        self._to_replace = deque(
            one for one in self._workers if not one.is_ending and one is not self._newcomer
        )
        if self._newcomer is not None:
            # It was started by an earlier SIGHUP, so it may hold older code.
            self._newcomer.stop()
            self._newcomer = None

    def _worker_ended(self, worker: Worker, code: int) -> None:
        how = how_it_ended(code)
        if not self._has_been_ready:
            self._end_at_once(1)
            raise WorkerFailed(f"worker {worker.pid} ended {how} before it served")

        if worker is self._newcomer:
            self._newcomer = None
            self._to_replace.clear()
            log.error(
                "worker %d ended %s before it served, so the others go on with what they have",
                worker.pid,
                how,
            )
            return

        if worker in self._to_replace:
            self._to_replace.remove(worker)
            self._newcomer = None  # the worker started for another one takes this one's place
        log.error("worker %d ended %s, another one is started", worker.pid, how)
        if not worker.is_ready:
            self._pause()

    def _pause(self) -> None:
        """Wait before the next start, twice as long for each worker that has failed in a row."""
        pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**self._failures)
        self._start_at_s = time.monotonic() + pause_s
        self._failures += 1
