"""Callbacks run in greenlets of a bounded pool, like requests in a thread pool.

A worker without work is parked in the hub and gets its next job by a bare switch, which costs half a
microsecond; spawning a greenlet costs twenty times that. The bound keeps greenlet-local resources, such as
database connections, bounded too.

An editor keeps true: only the hub switches into a parked worker. Its parent is the hub, so a switch from any
other greenlet would never be switched back and that greenlet would be lost; from there `submit` defers to the
hub. Nothing that runs in the hub may wait or log.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import Any, Protocol

from greenlet import GreenletExit, getcurrent, greenlet

_SPARE_WORKERS = 16
"""Parked workers that `trim` leaves: enough that quiet traffic spawns none."""


class Job(Protocol):
    """A unit of work; `work` is called in a worker greenlet and handles its own errors."""

    def work(self) -> None: ...


class Dispatcher:
    """A pool of worker greenlets, grown on demand.

    Args:
        hub: the gevent hub of this thread.
        most_workers: jobs that may run at once; further ones wait in order of arrival.
    """

    def __init__(self, hub: Any, most_workers: int) -> None:  # Any: gevent ships no types
        self._hub = hub
        self._most_workers = most_workers
        self._parked: list[greenlet] = []
        self._waiting: deque[Job] = deque()
        self._worker_count = 0

    @property
    def worker_count(self) -> int:
        """Greenlets that exist, parked ones included."""
        return self._worker_count

    @property
    def busy_count(self) -> int:
        """Greenlets that run a job, or wait within one."""
        return self._worker_count - len(self._parked)

    @property
    def waiting_count(self) -> int:
        """Jobs that wait for a greenlet."""
        return len(self._waiting)

    def run(self, job: Job) -> None:
        """Run `job` in a worker now, and come back when it is done or waits for something.

        Greenlets: the hub alone may call this.
        """
        if self._parked:
            self._parked.pop().switch(job)
        elif self._worker_count < self._most_workers:
            self._worker_count += 1
            worker = greenlet(self._work, self._hub)
            worker.switch()  # it parks; arguments of a first switch would live as long as the greenlet
            worker.switch(job)
        else:
            self._waiting.append(job)

    def submit(self, job: Job) -> None:
        """Run `job` as soon as the hub comes to it; any greenlet of this thread may call this."""
        self._hub.loop.run_callback(self.run, job)

    def trim(self) -> bool:
        """End half of the parked workers beyond a few spare ones, the longest parked first. The hub calls this.

        Returns:
            Whether there are more to end.
        """
        surplus = (len(self._parked) - _SPARE_WORKERS + 1) // 2
        if surplus > 0:
            ended = self._parked[:surplus]
            del self._parked[:surplus]
            for worker in ended:
                worker.switch(None)
        return len(self._parked) > _SPARE_WORKERS

    def end_parked(self) -> None:
        """End every parked worker. The hub calls this, when the engine is done."""
        parked, self._parked = self._parked, []
        for worker in parked:
            worker.switch(None)

    def _work(self) -> None:
        me = getcurrent()
        # Not hub.switch(): it looks for a switch_out() that only gevent's own Greenlets have.
        park, hub = greenlet.switch, self._hub
        job: Job | None
        try:
            job = park(hub)
            while job is not None:
                # A context of its own for each job: what one callback puts into a ContextVar, no other sees.
                me.gr_context = None
                job.work()
                if self._waiting:
                    # By way of the hub, so that a queue of quick jobs can't keep the loop from turning.
                    self.submit(self._waiting.popleft())
                self._parked.append(me)
                job = None  # a parked worker must not keep alive what it served last
                job = park(hub)
        except GreenletExit:
            pass  # somebody killed this worker: the pool is one smaller, no more
        except BaseException:  # noqa: BLE001  # the hub shows it; SystemExit and KeyboardInterrupt go to the main greenlet
            self._hub.handle_error(self, *sys.exc_info())
        finally:
            self._worker_count -= 1
            if self._waiting:
                self.submit(self._waiting.popleft())
