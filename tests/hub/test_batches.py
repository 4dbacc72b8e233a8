"""Jobs that come together run in one worker, and each finds what a job of its own would find."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar

import gevent
import gevent.local
import pytest
from gevent.event import Event
from greenlet import GreenletExit, getcurrent

from tina4_wsgi.hub.dispatcher import Dispatcher

MOST = 4


class Task:
    """A job that does what it was given to do."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.work = work
        self.is_waiting = False


class Together:
    """A batch in which each event runs one job, or none where it is None."""

    def __init__(self, pool: Dispatcher, *works: Callable[[], object] | None) -> None:
        self._pool = pool
        self._works = list(works)
        self.left = 0
        self.number = 0

    @property
    def has_more(self) -> bool:
        return bool(self._works)

    def step(self) -> bool:
        if not self._works:
            return False
        work = self._works.pop(0)
        if work is not None:
            if self._pool.takes_job_here():
                work()
            else:
                self._pool.run(Task(work))
        return True

    def work(self) -> None:
        number = self.number = self._pool.begin_batch()
        while self.step():
            if not self._pool.may_go_on(number):
                return

    def leave(self) -> None:
        self.left += 1


@pytest.fixture
def pool() -> Iterator[Dispatcher]:
    hub = gevent.get_hub()
    pool = Dispatcher(hub, MOST)
    yield pool
    hub.loop.run_callback(pool.end_parked)
    gevent.sleep(0)


def run_together(pool: Dispatcher, *works: Callable[[], object] | None) -> Together:
    batch = Together(pool, *works)
    gevent.get_hub().loop.run_callback(pool.run_batch, batch)
    gevent.sleep(0)
    return batch


def test_jobs_that_wait_for_nothing_share_one_worker(pool: Dispatcher) -> None:
    workers: list[int] = []

    run_together(pool, *[lambda: workers.append(id(getcurrent()))] * 5)

    assert (len(workers), len(set(workers)), pool.worker_count) == (5, 1, 1)


def test_events_without_a_job_are_passed_over(pool: Dispatcher) -> None:
    done: list[str] = []

    run_together(pool, None, lambda: done.append("a"), None, lambda: done.append("b"), None)

    assert (done, pool.busy_count) == (["a", "b"], 0)


@pytest.mark.parametrize("place", range(3))
def test_when_one_waits_the_others_go_on_in_another_worker(pool: Dispatcher, place: int) -> None:
    gate, done = Event(), []
    works: list[Callable[[], object]] = [lambda: done.append("quick")] * 2
    works.insert(place, lambda: (gate.wait(), done.append("slow")))

    run_together(pool, *works)
    assert (done, pool.busy_count) == (["quick", "quick"], 1)
    gate.set()
    gevent.sleep(0)

    assert (done, pool.busy_count) == (["quick", "quick", "slow"], 0)


def test_who_has_waited_handles_nothing_more_of_its_batch(pool: Dispatcher) -> None:
    gate, workers = Event(), []

    def note() -> None:
        workers.append(id(getcurrent()))

    run_together(pool, lambda: (note(), gate.wait()), note, note)
    gate.set()
    gevent.sleep(0)
    run_together(pool, note)

    assert workers[1] == workers[2] != workers[0]


def test_where_all_workers_wait_the_rest_of_a_batch_waits_in_order(pool: Dispatcher) -> None:
    gate, done = Event(), []

    run_together(pool, *[gate.wait] * MOST, *[lambda n=n: done.append(n) for n in range(3)])
    assert (pool.busy_count, pool.waiting_count, done) == (MOST, 3, [])
    gate.set()
    while len(done) < 3:
        gevent.sleep(0)

    assert done == [0, 1, 2]


def test_a_batch_stands_behind_jobs_that_wait_already(pool: Dispatcher) -> None:
    gates, done = [Event() for _ in range(MOST)], []
    run_together(pool, *[gate.wait for gate in gates])
    run_together(pool, lambda: done.append("first"))

    gates[0].set()
    run_together(pool, lambda: done.append("second"))
    while len(done) < 2:
        gevent.sleep(0)

    assert done == ["first", "second"]
    for gate in gates:
        gate.set()
    gevent.sleep(0)


variable: ContextVar[str] = ContextVar("variable", default="unset")
local = gevent.local.local()
others: list[object] = []


def set_attribute() -> None:
    getcurrent().user = "ada"


def set_timeout() -> None:
    others.append(gevent.Timeout.start_new(60))


LEAVINGS: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "context variable": (lambda: variable.set("ada"), lambda: variable.get() != "unset"),
    "greenlet local": (lambda: setattr(local, "user", "ada"), lambda: hasattr(local, "user")),
    "attribute": (set_attribute, lambda: hasattr(getcurrent(), "user")),
    "reference": (lambda: others.append(getcurrent()), lambda: getcurrent() in others),
    "timeout": (
        set_timeout,
        lambda: any(getattr(one, "_Timeout__greenlet", None) is getcurrent() for one in others),
    ),
}


@pytest.mark.parametrize(("leave", "is_there"), LEAVINGS.values(), ids=LEAVINGS)
def test_the_next_of_a_batch_finds_nothing_that_one_left(
    pool: Dispatcher, leave: Callable[[], object], is_there: Callable[[], object]
) -> None:
    found: list[object] = []

    run_together(pool, *[lambda: found.append(bool(is_there())), leave] * 3)
    run_together(pool, lambda: found.append(bool(is_there())))

    assert found == [False] * 4
    for one in others:
        if isinstance(one, gevent.Timeout):
            one.close()
    others.clear()


@pytest.mark.parametrize("place", range(3))
def test_what_a_job_of_a_batch_leaves_is_let_go_when_the_batch_is_done(
    pool: Dispatcher, place: int
) -> None:
    class Session:
        """Stands for a database session."""

    kept: weakref.WeakSet[Session] = weakref.WeakSet()

    def leave() -> None:
        session = getcurrent().session = Session()
        kept.add(session)

    works: list[Callable[[], object]] = [lambda: None] * 2
    works.insert(place, leave)
    run_together(pool, *works)

    assert not kept


def test_a_context_variable_lasts_for_its_job(pool: Dispatcher) -> None:
    found: list[str] = []

    def wait_between() -> None:
        variable.set("ada")
        gevent.sleep(0)
        found.append(variable.get())

    run_together(pool, wait_between, lambda: variable.set("bob"), wait_between)
    while pool.busy_count:
        gevent.sleep(0)

    assert found == ["ada", "ada"]


def test_a_worker_that_is_killed_in_a_batch_is_replaced(pool: Dispatcher) -> None:
    done: list[str] = []

    def be_killed() -> None:
        raise GreenletExit

    run_together(pool, be_killed, lambda: done.append("next"))

    assert (done, pool.worker_count) == (["next"], 1)


def test_the_batch_is_told_when_a_worker_comes_back_to_the_hub(pool: Dispatcher) -> None:
    gate = Event()

    batch = run_together(pool, lambda: None, gate.wait, lambda: None)

    assert batch.left == 2
    gate.set()
    gevent.sleep(0)


def test_a_worker_that_has_waited_does_not_go_on_with_anothers_batch(pool: Dispatcher) -> None:
    first, second, done = Event(), Event(), []

    def wait_and_ask() -> None:
        first.wait()
        done.append(pool.may_go_on(waiting.number))

    waiting = run_together(pool, wait_and_ask)

    def free_the_first() -> None:
        # The hub isn't back yet: this batch is the one that runs.
        first.set()
        second.wait()

    run_together(pool, free_the_first, lambda: done.append("next"))
    gevent.sleep(0)
    gevent.sleep(0)
    second.set()
    gevent.sleep(0)

    assert done == ["next", False]


def test_outside_of_a_batch_nobody_may_go_on(pool: Dispatcher) -> None:
    asked: list[bool] = [pool.may_go_on(0)]

    over = run_together(pool, lambda: None)
    pool.submit(Task(lambda: asked.append(pool.may_go_on(over.number))))
    gevent.sleep(0)

    assert asked == [False, False]


def test_outside_of_a_batch_no_job_is_taken_here(pool: Dispatcher) -> None:
    asked: list[bool] = [pool.takes_job_here()]

    pool.submit(Task(lambda: asked.append(pool.takes_job_here())))
    gevent.sleep(0)

    assert asked == [False, False]


def test_a_batch_without_jobs_takes_a_worker_and_gives_it_back(pool: Dispatcher) -> None:
    run_together(pool, None, None)

    assert (pool.worker_count, pool.busy_count) == (1, 0)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_batch_leaves_its_worker_for_the_next(pool: Dispatcher, count: int) -> None:
    for _ in range(3):
        run_together(pool, *[lambda: None] * count)

    assert (pool.worker_count, pool.busy_count, pool.waiting_count) == (1, 0, 0)


def name_as_thread(workers: list[int]) -> None:
    """Do what `threading` does in a patched process, where a log record names its thread: keep an
    object for this greenlet that refers weakly to it.
    """
    me = getcurrent()
    threading._active[id(me)] = weakref.ref(me)  # type: ignore[attr-defined]
    workers.append(id(me))


def test_a_job_of_a_batch_that_only_logs_leaves_the_worker_to_the_next(pool: Dispatcher) -> None:
    workers: list[int] = []

    def name_the_thread() -> None:
        name_as_thread(workers)

    run_together(pool, *[name_the_thread] * 3)

    assert (len(workers), len(set(workers)), pool.worker_count) == (3, 1, 1)
    assert workers[0] not in threading._active  # type: ignore[attr-defined]


def test_a_job_of_its_own_that_only_logs_leaves_the_worker_to_the_next(pool: Dispatcher) -> None:
    workers: list[int] = []

    for _ in range(3):
        pool.submit(Task(lambda: name_as_thread(workers)))
        gevent.sleep(0)

    assert (len(workers), len(set(workers)), pool.worker_count) == (3, 1, 1)
    assert workers[0] not in threading._active  # type: ignore[attr-defined]


def test_a_batch_whose_job_raises_what_is_ours_is_finished_by_another_worker(
    pool: Dispatcher, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[str] = []

    def fail() -> None:
        raise LookupError("a mistake of ours")

    run_together(pool, fail, lambda: done.append("next"))

    assert (done, pool.worker_count) == (["next"], 1)
    assert "LookupError: a mistake of ours" in capsys.readouterr().err
