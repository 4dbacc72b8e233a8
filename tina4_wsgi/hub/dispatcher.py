"""Callbacks run in greenlets of a bounded pool, like requests in a thread pool.

A worker without work is parked in the hub and gets its next job by a bare switch, which costs half
a microsecond; spawning a greenlet costs twenty times that. The bound keeps greenlet-local
resources, such as database connections, bounded too.

A worker is used again only if the last job left it as it was. Whatever a job leaves behind on its
greenlet is the next job's otherwise, and that is another user's: thread-locals, which gevent keeps
per greenlet, attributes, a `gevent.Timeout` that was never cancelled. A worker that somebody still
refers to ends, and a fresh one takes its place.

Invariants: only the hub switches into a parked worker. Its parent is the hub, so a switch from any
other greenlet would never be switched back and that greenlet would be lost; from there `submit`
defers to the hub. Nothing that runs in the hub may wait or log. While jobs wait and a worker is
free, a `_serve_next` is scheduled.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from sys import getrefcount
from typing import Any, Protocol
from weakref import getweakrefcount

from greenlet import GreenletExit, getcurrent, greenlet

from . import mishaps

_SPARE_WORKERS = 16
"""Parked workers that `trim` leaves: enough that quiet traffic spawns none."""

PATIENCE_S = 1.0
"""How long the first job in the queue may wait before the pool counts as stuck. Callbacks that
work, however many, pass a worker on much sooner; those that wait for each other, or for a database
that hangs, don't.
"""


class Job(Protocol):
    """A unit of work.

    Attributes:
        is_waiting: set by the dispatcher for as long as the job waits for a worker.
    """

    is_waiting: bool

    def work(self) -> None:
        """Do it; called in a worker greenlet, and handles its own errors."""


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
        self._own_references = (
            0  # what `getrefcount` gives for a parked worker that nobody else refers to
        )
        self._waiting: deque[tuple[Job, float]] = deque()  # with the time of its coming
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

    @property
    def is_stuck(self) -> bool:
        """Whether all workers are taken by jobs that wait, so that one more job would wait too."""
        return bool(self._waiting) and time.monotonic() - self._waiting[0][1] > PATIENCE_S

    def run(self, job: Job) -> None:
        """Run `job` in a worker now, and come back when it is done or waits for something.

        Greenlets: the hub alone may call this.
        """
        if self._waiting:
            self._wait(job)
        else:
            self._start(job)

    def submit(self, job: Job) -> None:
        """Run `job` as soon as the hub comes to it; any greenlet of this thread may call this."""
        self._hub.loop.run_callback(self.run, job)

    def trim(self) -> bool:
        """End half of the surplus parked workers, the longest parked first. The hub calls this.

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

    def lift_bound(self) -> None:
        """Run all waiting jobs and all later ones: a drain ends, and "close" callbacks are due."""
        self._most_workers = sys.maxsize
        for _ in self._waiting:
            self._hub.loop.run_callback(self._serve_next)

    def end_parked(self) -> None:
        """End every parked worker. The hub calls this, when the engine is done."""
        parked, self._parked = self._parked, []
        for worker in parked:
            worker.switch(None)

    def _start(self, job: Job) -> None:
        while self._parked:
            worker = self._parked.pop()
            if getrefcount(worker) == self._own_references:
                worker.switch(job)
                return
            worker.switch(None)  # somebody refers to it: it ends

        if self._worker_count < self._most_workers:
            self._new_worker().switch(job)
        else:
            self._wait(job)

    def _new_worker(self) -> greenlet:
        self._worker_count += 1
        worker = greenlet(self._work, self._hub)
        worker.switch()  # it parks; arguments of a first switch would live as long as the greenlet
        self._own_references = getrefcount(worker)
        return worker

    def _wait(self, job: Job) -> None:
        job.is_waiting = True
        self._waiting.append((job, time.monotonic()))
        if self._parked or self._worker_count < self._most_workers:
            self._hub.loop.run_callback(self._serve_next)

    def _serve_next(self) -> None:
        """Give the job that has waited longest a worker, if one is free; in the hub."""
        if self._waiting and (self._parked or self._worker_count < self._most_workers):
            job, _ = self._waiting.popleft()
            job.is_waiting = False
            self._start(job)

    def _work(self) -> None:
        me = getcurrent()
        # Not hub.switch(): it looks for a switch_out() that only gevent's own Greenlets have.
        park, hub = greenlet.switch, self._hub
        kept = me.__dict__  # gevent's locals are found through it
        job: Job | None
        try:
            job = park(hub)
            while job is not None:
                # A context of its own for each job: what one callback puts into a ContextVar, no
                # other sees.
                me.gr_context = None
                job.work()
                job = None  # a parked worker must not keep alive what it served last
                if (kept or getweakrefcount(me)) and not _is_as_new(me):
                    break
                if self._waiting:
                    # By way of the hub, so that a queue of quick jobs can't keep the loop from
                    # turning.
                    hub.loop.run_callback(self._serve_next)
                self._parked.append(me)
                job = park(hub)
        except GreenletExit:
            self._forget(me)  # somebody killed this worker: the pool is one smaller, no more
        except BaseException as exc:  # noqa: BLE001
            # A mistake of ours, which ends nothing but this worker.
            self._forget(me)
            mishaps.show(self, exc)
        finally:
            self._worker_count -= 1
            if self._waiting:
                hub.loop.run_callback(self._serve_next)

    def _forget(self, worker: greenlet) -> None:
        """Take a worker off the list that something was thrown at while it was parked."""
        if worker in self._parked:
            self._parked.remove(worker)


def _is_as_new(worker: greenlet) -> bool:
    """Whether a worker has nothing left of its last job; also drops its `threading` object."""
    # Each log record of a patched process makes one, and names may have been given to it.
    # As gevent does when a greenlet ends.
    threading._active.pop(id(worker), None)  # type: ignore[attr-defined]
    return not worker.__dict__ and not getweakrefcount(worker)
