"""The loop of a process that keeps others serving, whatever the reasons to start and end them.

Such a process holds the listening socket and serves nobody itself. It imports nothing of the
user's. SIGTERM and SIGINT stop all workers gracefully, a second one at once.
"""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from .worker import Signals

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from .worker import Worker


class Keeper(ABC):
    """Keeps workers on one socket until a signal.

    Args:
        start: starts a worker.
        listener: what the workers listen on. Closed here once they are to stop, so that nobody new
            connects.
        on_ready: called once, when all workers serve for the first time.
    """

    _WAIT_S: ClassVar[float]
    """Longest time between two looks."""

    def __init__(
        self,
        start: Callable[[], Worker],
        listener: socket.socket,
        on_ready: Callable[[], None],
    ) -> None:
        self._start = start
        self._listener = listener
        self._on_ready = on_ready

        self._workers: list[Worker] = []
        self._actions: dict[int, Callable[[], None]] = {}  # by signals that stop nobody
        self._has_been_ready = False
        self._is_stopping = False

    def run(self) -> int:
        """Keep workers until a signal, and return the exit code."""
        signals = Signals(signal.SIGINT, signal.SIGTERM, *self._actions)
        while self._workers or not self._is_stopping:
            if not self._is_stopping:
                self._fill_up()

            for number in signals.wait(self._WAIT_S, self._workers):
                if number in self._actions:
                    self._actions[number]()
                elif self._is_stopping:
                    return self._end_at_once(128 + number)
                else:
                    self._stop()

            self._look_at_workers()
            if not self._is_stopping:
                self._note_ready()
                self._look()

        return 0

    @property
    def _are_ready(self) -> bool:
        return bool(self._workers) and all(worker.is_ready for worker in self._workers)

    def _look_at_workers(self) -> None:
        for worker in list(self._workers):
            code = worker.look()
            if code is None:
                continue

            self._workers.remove(worker)
            if not (worker.is_ending or self._is_stopping):
                self._worker_ended(worker, code)

    def _note_ready(self) -> None:
        if self._are_ready and not self._has_been_ready:
            self._has_been_ready = True
            self._on_ready()

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

    @abstractmethod
    def _fill_up(self) -> None:
        """Start the workers that are missing."""

    @abstractmethod
    def _look(self) -> None:
        """Do what is due, after a look at the workers and while none of them is to stop."""

    @abstractmethod
    def _worker_ended(self, worker: Worker, code: int) -> None:
        """Decide what follows when a worker that wasn't told to end has ended."""
