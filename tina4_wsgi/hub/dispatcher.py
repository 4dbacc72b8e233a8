"""Runs callbacks in a bounded pool of greenlets, as a thread pool runs requests.

A worker without work is parked in the hub and gets its next job by a bare switch, which costs half
a microsecond; spawning a greenlet costs twenty times that. The bound keeps greenlet-local
resources, such as database connections, bounded too.

A worker is used again only if its last job left nothing behind on it: no thread-locals, which
gevent keeps per greenlet, no attributes, no `gevent.Timeout` that was never cancelled. Otherwise
the next job, often another user's, would inherit them. A worker that something else still refers
to ends, and a fresh one takes its place.

A batch of events from many connections runs in one worker, as long as no callback of theirs waits:
a switch for each would cost more than a short callback does. Each of its jobs is a job like any
other: it has its own context, and the next one gets another worker if it left something behind.

Invariants: only the hub switches into a parked worker. The hub is the worker's parent, so a worker
never switches back to any other greenlet, and that greenlet would be lost; other greenlets call
`submit`, which defers to the hub. Nothing that runs in the hub may wait or log. While jobs wait and
a worker is free, a `_serve_next` is scheduled.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from typing import Any, Protocol

from greenlet import GreenletExit, getcurrent, greenlet

from . import mishaps
from .leavings import count_references, has_weak_references, may_have_context

_SPARE_WORKERS = 16
"""How many parked workers `trim` keeps: enough that quiet traffic spawns none."""

PATIENCE_S = 1.0
"""How long the first job in the queue may wait before the pool counts as stuck. Callbacks that
make progress, however many, free a worker much sooner; callbacks that wait for each other, or for
a database that hangs, don't.
"""


_NOTHING: dict[str, Any] = {}


class Job(Protocol):
    """A unit of work.

    Attributes:
        is_waiting: True while the job waits for a worker; the dispatcher sets it.
    """

    is_waiting: bool

    def work(self) -> None:
        """Do the work; runs in a worker greenlet, and handles its own errors."""


class Batch(Protocol):
    """Events that are at hand together; handling one may run a job.

    Attributes:
        has_more: whether events are left.
    """

    @property
    def has_more(self) -> bool: ...

    def step(self) -> object:
        """Handle the next event; in the hub or in a worker."""

    def work(self) -> None:
        """Call `Dispatcher.begin_batch`, then handle events until none is left or
        `Dispatcher.may_go_on` says no; in a worker.
        """

    def leave(self) -> None:
        """A job of the last event waits, and others go on; called in the hub."""


class Dispatcher:
    """A pool of worker greenlets, grown on demand.

    Args:
        hub: the gevent hub of this thread.
        most_workers: how many jobs may run at once; further jobs wait in order of arrival.
    """

    def __init__(self, hub: Any, most_workers: int) -> None:  # Any: gevent ships no types
        self._hub = hub
        self._most_workers = most_workers
        self._parked: list[greenlet] = []
        # What `count_references` returns for a parked worker that only the pool refers to.
        self._own_references = 0
        self._waiting: deque[tuple[Job, float]] = deque()  # each job with its time of arrival
        self._worker_count = 0

        # The worker that runs a batch now; None as soon as one of its jobs waits.
        self._batch_worker: greenlet | None = None
        self._batch_number = 0
        self._batch_left: dict[str, Any] = _NOTHING  # the attributes of this worker
        self._batch_references = 0
        self._has_run_here = False  # whether the last event of the batch ran a job

    @property
    def worker_count(self) -> int:
        """How many worker greenlets exist, parked ones included."""
        return self._worker_count

    @property
    def busy_count(self) -> int:
        """How many workers are running a job, those that wait inside one included."""
        return self._worker_count - len(self._parked)

    @property
    def waiting_count(self) -> int:
        """How many jobs wait for a worker."""
        return len(self._waiting)

    @property
    def is_stuck(self) -> bool:
        """Whether jobs that wait hold all workers, so that one more job would wait too."""
        return bool(self._waiting) and time.monotonic() - self._waiting[0][1] > PATIENCE_S

    def run(self, job: Job) -> None:
        """Run `job` in a worker now, and return when the job is done or waits for something.

        Greenlets: the hub, and a worker that runs a batch; there `takes_job_here` must have said
            no, so the job waits.
        """
        if self._waiting or self._batch_worker is not None:
            self._wait(job)
        else:
            self._start(job)

    def takes_job_here(self) -> bool:
        """Return whether this greenlet is a worker that runs a batch, and may run one more job.

        If so the caller runs it, right away and without this pool.
        """
        if self._batch_worker is None or self._waiting:
            return False
        self._has_run_here = True
        if may_have_context():
            self._batch_worker.gr_context = None
        return True

    def run_batch(self, batch: Batch) -> None:
        """Handle all events of a batch, in as few workers as their jobs allow.

        Greenlets: only the hub.
        """
        while batch.has_more:
            worker = None if self._waiting else self._free_worker()
            if worker is None:
                batch.step()  # its job, if it has one, waits in the queue
                continue

            worker.switch(batch)
            self._batch_worker = None
            self._batch_left = _NOTHING  # an ended worker's attributes must not live on here
            batch.leave()

    def begin_batch(self) -> int:
        """Note that this worker begins with a batch; return its number, for `may_go_on`."""
        me = self._batch_worker = getcurrent()
        self._batch_number += 1
        self._batch_left = me.__dict__
        self._batch_references = count_references(me)
        self._has_run_here = False
        return self._batch_number

    def may_go_on(self, batch_number: int) -> bool:
        """Return whether this worker may handle one more event of its batch.

        It may not if a job waited, since the hub has given the rest to another worker; nor if a job
        left something behind, which the next job must not find.
        """
        if batch_number != self._batch_number or self._batch_worker is None:
            return False
        if not self._has_run_here:
            return True

        self._has_run_here = False
        me = self._batch_worker
        is_touched = self._batch_left or has_weak_references(me)
        if is_touched and not _is_as_new(me):
            return False
        return count_references(me) == self._batch_references

    def submit(self, job: Job) -> None:
        """Run `job` in the hub's next turn; any greenlet of this thread may call this."""
        self._hub.loop.run_callback(self.run, job)

    def trim(self) -> bool:
        """End half of the surplus parked workers, those parked longest first; only in the hub.

        Returns:
            Whether surplus workers are left.
        """
        surplus = (len(self._parked) - _SPARE_WORKERS + 1) // 2
        if surplus > 0:
            ended = self._parked[:surplus]
            del self._parked[:surplus]
            for worker in ended:
                worker.switch(None)
        return len(self._parked) > _SPARE_WORKERS

    def lift_bound(self) -> None:
        """Run all waiting and later jobs without a bound: a drain needs its "close" callbacks."""
        self._most_workers = sys.maxsize
        for _ in self._waiting:
            self._hub.loop.run_callback(self._serve_next)

    def end_parked(self) -> None:
        """End every parked worker; only in the hub, when the engine is done."""
        parked, self._parked = self._parked, []
        for worker in parked:
            worker.switch(None)

    def _start(self, job: Job) -> None:
        worker = self._free_worker()
        if worker is None:
            self._wait(job)
        else:
            worker.switch(job)

    def _free_worker(self) -> greenlet | None:
        """Return a parked worker, taken off the list, or a new one; None if all are busy."""
        while self._parked:
            worker = self._parked.pop()
            if count_references(worker) == self._own_references:
                return worker
            worker.switch(None)  # something else refers to this worker: end it
        return self._new_worker() if self._worker_count < self._most_workers else None

    def _new_worker(self) -> greenlet:
        self._worker_count += 1
        worker = greenlet(self._work, self._hub)
        worker.switch()  # parks it; arguments of a first switch live as long as the greenlet
        self._own_references = count_references(worker)
        return worker

    def _wait(self, job: Job) -> None:
        job.is_waiting = True
        self._waiting.append((job, time.monotonic()))
        if self._parked or self._worker_count < self._most_workers:
            self._hub.loop.run_callback(self._serve_next)

    def _serve_next(self) -> None:
        """Start the job that has waited longest, if a worker is free; in the hub."""
        if self._waiting and (self._parked or self._worker_count < self._most_workers):
            job, _ = self._waiting.popleft()
            job.is_waiting = False
            self._start(job)

    def _work(self) -> None:
        me = getcurrent()
        # Not hub.switch(), which looks for a switch_out() that only gevent's own Greenlets have.
        park, hub = greenlet.switch, self._hub
        kept = me.__dict__  # gevent's locals keep their values here

        job: Job | None

        try:
            job = park(hub)
            while job is not None:
                # Each job has its own context: no callback sees what another one put into a
                # ContextVar.
                me.gr_context = None
                job.work()
                job = None  # a parked worker must not keep its last job alive

                if (kept or has_weak_references(me)) and not _is_as_new(me):
                    break
                if self._waiting:
                    # Through the hub, so that a queue of quick jobs can't keep the loop from
                    # turning.
                    hub.loop.run_callback(self._serve_next)
                self._parked.append(me)
                job = park(hub)
        except GreenletExit:
            self._forget(me)  # the worker was killed: the pool shrinks by one, nothing else
        except BaseException as exc:  # noqa: BLE001
            # A bug of this package ends only this worker.
            self._forget(me)
            mishaps.show(self, exc)
        finally:
            self._worker_count -= 1
            if self._waiting:
                hub.loop.run_callback(self._serve_next)

    def _forget(self, worker: greenlet) -> None:
        """Take a worker off the parked list, if an exception was thrown into it there."""
        if worker in self._parked:
            self._parked.remove(worker)


def _is_as_new(worker: greenlet) -> bool:
    """Return whether a job left nothing on a worker; also drops its `threading` object."""
    # In a patched process each log record makes such an object, and the job may have named it.
    # gevent drops it the same way when a greenlet ends.
    threading._active.pop(id(worker), None)  # type: ignore[attr-defined]
    return not worker.__dict__ and not has_weak_references(worker)
