"""Several processes that serve one application on one socket, and the process above them that keeps
their number.

One that dies is started again, after a growing pause if it doesn't even come to serve. SIGTERM and
SIGINT stop all of them gracefully, a second one at once. SIGHUP starts a new one for each, one
after the other: only when the new one serves is an old one told to stop, so that code which can't
be loaded costs nobody a connection.
"""

from __future__ import annotations

import logging
import signal
import socket
import time
from collections import deque
from collections.abc import Callable

from ..cli.command import CommandFailed
from .worker import Signals, Worker, how_it_ended

log = logging.getLogger("tina4_wsgi.workers")

_LOOK_S = 0.5
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0


class Supervisor:
    """Keeps `count` workers until a signal.

    Args:
        start: starts one.
        count: how many.
        listener: what they listen on; closed here when they are to stop, so that nobody new
            connects.
        on_ready: called once, when all of them serve.
    """

    def __init__(
        self,
        start: Callable[[], Worker],
        count: int,
        listener: socket.socket,
        on_ready: Callable[[], None],
    ) -> None:
        self._start = start
        self._count = count
        self._listener = listener
        self._on_ready = on_ready
        self._workers: list[Worker] = []
        self._to_replace: deque[Worker] = deque()
        self._newcomer: Worker | None = None  # started for the first of `_to_replace`
        self._has_been_ready = False
        self._is_stopping = False
        self._failures = 0
        self._start_at_s = 0.0

    def run(self) -> int:
        """Serve until a signal, and give the exit code.

        Raises:
            CommandFailed: a worker ended before all of them served for the first time.
        """
        signals = Signals(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        while self._workers or not self._is_stopping:
            self._fill_up()
            for number in signals.wait(_LOOK_S, self._workers):
                if number == signal.SIGHUP:
                    self._begin_replacing()
                elif self._is_stopping:
                    return self._end_at_once(128 + number)
                else:
                    self._stop()
            for worker in list(self._workers):
                code = worker.look()
                if code is not None:
                    self._has_ended(worker, code)
            if not self._is_stopping:
                self._go_on()
        return 0

    def _fill_up(self) -> None:
        missing = (
            self._count
            - sum(not worker.is_ending for worker in self._workers)
            + (self._newcomer is not None)
        )
        if not self._is_stopping and time.monotonic() >= self._start_at_s:
            self._workers += [self._start() for _ in range(missing)]

    def _go_on(self) -> None:
        """Do what can be done once workers are ready."""
        if not self._has_been_ready and all(worker.is_ready for worker in self._workers):
            self._has_been_ready = True
            self._on_ready()
        if self._has_been_ready and all(worker.is_ready for worker in self._workers):
            self._failures = 0
        if self._newcomer is not None and self._newcomer.is_ready:
            self._newcomer = None
            self._to_replace.popleft().stop()
        # One after the other: the last one has gone before the next is replaced.
        if (
            self._newcomer is None
            and self._to_replace
            and not any(worker.is_ending for worker in self._workers)
        ):
            self._newcomer = self._start()
            self._workers.append(self._newcomer)

    def _begin_replacing(self) -> None:
        if not self._is_stopping and self._has_been_ready:
            log.info("replacing all %d workers, one after the other", self._count)
            self._to_replace = deque(
                one for one in self._workers if not one.is_ending and one is not self._newcomer
            )
            if (
                self._newcomer is not None
            ):  # of a replacing that has not finished: it may hold older code
                self._newcomer.stop()
                self._newcomer = None

    def _has_ended(self, worker: Worker, code: int) -> None:
        self._workers.remove(worker)
        if worker.is_ending or self._is_stopping:
            return
        how = how_it_ended(code)
        if not self._has_been_ready:
            self._end_at_once(1)
            raise CommandFailed(f"worker {worker.pid} ended {how} before it served")
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
            self._newcomer = None  # who was started for another has this one's place
        log.error("worker %d ended %s, another one is started", worker.pid, how)
        if not worker.is_ready:
            self._start_at_s = time.monotonic() + min(
                _LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**self._failures
            )
            self._failures += 1

    def _stop(self) -> None:
        self._is_stopping = True
        self._listener.close()
        for worker in self._workers:
            worker.stop()

    def _end_at_once(self, code: int) -> int:
        self._listener.close()
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.wait()
        self._workers.clear()
        return code
