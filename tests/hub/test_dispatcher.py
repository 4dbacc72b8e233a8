"""The pool of worker greenlets: what waits its turn, what ends it, and what it is trimmed to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from weakref import WeakKeyDictionary, WeakSet

import gevent
import gevent.local
import pytest
from gevent.event import Event
from gevent.queue import Queue
from greenlet import GreenletExit, getcurrent, greenlet

from tina4_wsgi.hub import dispatcher
from tina4_wsgi.hub.dispatcher import Dispatcher

MOST = 20


class Task:
    """A job that does what it was given to do."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.work = work
        self.is_waiting = False


@pytest.fixture
def pool() -> Iterator[Dispatcher]:
    hub = gevent.get_hub()
    pool = Dispatcher(hub, MOST)
    yield pool
    hub.loop.run_callback(pool.end_parked)
    gevent.sleep(0)


def submit_and_wait(pool: Dispatcher, *works: Callable[[], object]) -> None:
    for work in works:
        pool.submit(Task(work))
    gevent.sleep(0)


def in_hub(function: Callable[[], object]) -> list[object]:
    """Call `function` as the hub does, and give what it gave."""
    given: list[object] = []
    gevent.get_hub().loop.run_callback(lambda: given.append(function()))
    gevent.sleep(0)
    return given


def test_jobs_beyond_the_most_wait_and_run_in_the_order_of_their_coming(pool: Dispatcher) -> None:
    gate, done = Event(), []
    submit_and_wait(pool, *[gate.wait] * MOST)
    submit_and_wait(pool, *[lambda n=n: done.append(n) for n in range(5)])
    assert (pool.worker_count, pool.busy_count, pool.waiting_count, done) == (MOST, MOST, 5, [])

    gate.set()
    while len(done) < 5:
        gevent.sleep(0)

    assert (pool.worker_count, pool.waiting_count, done) == (MOST, 0, [0, 1, 2, 3, 4])


def test_a_job_waits_until_it_gets_a_worker_and_no_longer(pool: Dispatcher) -> None:
    gate, seen = Event(), []
    late = Task(lambda: seen.append(late.is_waiting))
    submit_and_wait(pool, *[gate.wait] * MOST)
    pool.submit(late)
    gevent.sleep(0)
    assert late.is_waiting

    gate.set()
    while not seen:
        gevent.sleep(0)

    assert seen == [False]


def test_half_of_the_spare_workers_end_at_a_time_until_a_few_are_left(pool: Dispatcher) -> None:
    gate = Event()
    submit_and_wait(pool, *[gate.wait] * MOST)
    gate.set()
    while pool.busy_count:
        gevent.sleep(0)

    counts = []
    for _ in range(4):
        (has_more,) = in_hub(pool.trim)
        counts.append((pool.worker_count, has_more))

    assert counts == [(18, True), (17, True), (16, False), (16, False)]


def test_of_a_few_spare_workers_none_ends(pool: Dispatcher) -> None:
    gate = Event()
    submit_and_wait(pool, *[gate.wait] * 10)
    gate.set()
    while pool.busy_count:
        gevent.sleep(0)

    assert in_hub(pool.trim) == [False]
    assert pool.worker_count == 10


def test_a_worker_that_somebody_kills_is_replaced(pool: Dispatcher) -> None:
    done = []

    def be_killed() -> None:
        raise GreenletExit

    submit_and_wait(pool, be_killed)
    assert pool.worker_count == 0
    submit_and_wait(pool, lambda: done.append("next"))

    assert (done, pool.worker_count) == (["next"], 1)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), gevent.Timeout(1)])
def test_a_job_that_raises_what_ends_programs_ends_its_worker_alone(
    pool: Dispatcher, error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    done = []

    def leave() -> None:
        raise error

    submit_and_wait(pool, leave)
    submit_and_wait(pool, lambda: done.append("next"))

    assert (done, pool.worker_count) == (["next"], 1)
    assert f"failed with {type(error).__name__}" in capsys.readouterr().err


def test_a_worker_is_used_again_by_jobs_that_wait_in_any_way(pool: Dispatcher) -> None:
    workers, queue, gate = [], Queue(), Event()

    def note_and_wait() -> None:
        workers.append(id(getcurrent()))
        gevent.sleep(0.001)
        gate.wait(0.001)
        with gevent.Timeout(1):
            queue.get()
        gevent.get_hub().threadpool.apply(lambda: None)

    for number in range(5):
        queue.put(None)
        pool.submit(Task(note_and_wait))
        while len(workers) == number or pool.busy_count:
            gevent.sleep(0.001)

    assert len(set(workers)) == 1


shared = gevent.local.local()


class Counting(gevent.local.local):
    """A local that is set up anew for each greenlet."""

    def __init__(self) -> None:
        self.jobs: list[str] = []


counting = Counting()
by_worker: WeakKeyDictionary[greenlet, str] = WeakKeyDictionary()


def leave_attribute(name: str) -> None:
    getcurrent().user = name


def leave_local(name: str) -> None:
    shared.user = name


def leave_entry(name: str) -> None:
    by_worker[getcurrent()] = name


LEFT: dict[str, tuple[Callable[[str], None], Callable[[], object]]] = {
    "local": (leave_local, lambda: getattr(shared, "user", None)),
    "subclass": (lambda name: counting.jobs.append(name), lambda: counting.jobs or None),
    "attribute": (leave_attribute, lambda: getattr(getcurrent(), "user", None)),
    "weak dictionary": (leave_entry, lambda: by_worker.get(getcurrent())),
}


@pytest.mark.parametrize(("leave", "look"), LEFT.values(), ids=LEFT)
def test_what_a_job_leaves_on_its_greenlet_is_not_seen_by_the_next(
    pool: Dispatcher, leave: Callable[[str], None], look: Callable[[], object]
) -> None:
    found: list[object] = []

    for name in ("ada", "bob", "cyd"):
        submit_and_wait(pool, lambda: found.append(look()), lambda name=name: leave(name))
    submit_and_wait(pool, lambda: found.append(look()))

    assert found == [None] * 4


def test_what_a_job_leaves_is_let_go_when_it_is_done(pool: Dispatcher) -> None:
    class Session:
        """Stands for a database session."""

    kept = WeakSet()

    def work() -> None:
        shared.session = Session()
        kept.add(shared.session)

    submit_and_wait(pool, work)

    assert not kept


def test_a_timeout_that_was_never_cancelled_hits_no_other_job(
    pool: Dispatcher, capsys: pytest.CaptureFixture[str]
) -> None:
    done, timeouts = [], []

    def forget() -> None:
        timeouts.append(gevent.Timeout.start_new(0.02))

    def wait() -> None:
        gevent.sleep(0.1)
        done.append("waited")

    submit_and_wait(pool, forget, wait)
    while not done:
        gevent.sleep(0.005)

    assert done == ["waited"]
    assert (
        "failed with Timeout" in capsys.readouterr().err
    )  # the hub shows it, since nobody waits for it
    timeouts[0].close()


@pytest.mark.parametrize("error", [GreenletExit, gevent.Timeout, ValueError])
def test_a_parked_worker_that_something_is_thrown_at_is_given_no_job(
    pool: Dispatcher, error: type[BaseException]
) -> None:
    workers, done = [], []
    submit_and_wait(pool, lambda: workers.append(getcurrent()))
    assert pool.busy_count == 0

    in_hub(lambda: workers[0].throw(error))
    submit_and_wait(pool, lambda: done.append("next"))

    assert (done, pool.worker_count) == (["next"], 1)


def test_jobs_that_come_while_others_wait_stand_behind_them(pool: Dispatcher) -> None:
    gates, done = [Event() for _ in range(MOST)], []
    submit_and_wait(pool, *[gate.wait for gate in gates])
    submit_and_wait(pool, *[lambda n=n: done.append(n) for n in range(3)])

    gates[0].set()
    gates[1].set()
    submit_and_wait(pool, *[lambda n=n: done.append(n) for n in range(3, 6)])
    while len(done) < 6:
        gevent.sleep(0)

    assert done == list(range(6))
    for gate in gates:
        gate.set()


@pytest.fixture
def single() -> Iterator[Dispatcher]:
    hub = gevent.get_hub()
    pool = Dispatcher(hub, 1)
    yield pool
    hub.loop.run_callback(pool.end_parked)
    gevent.sleep(0)


def test_a_look_for_a_worker_too_many_changes_no_order(single: Dispatcher) -> None:
    gates, done = [Event(), Event()], []

    def first() -> None:
        gates[0].wait()
        single.submit(Task(lambda: done.append("last")))  # just before this worker is free

    submit_and_wait(single, first, gates[1].wait)
    submit_and_wait(single, lambda: done.append("a"), lambda: done.append("b"))
    gates[0].set()
    for _ in range(3):
        gevent.sleep(0)
    assert (done, single.waiting_count) == ([], 3)

    gates[1].set()
    while single.waiting_count or single.busy_count:
        gevent.sleep(0)

    assert done == ["a", "b", "last"]


def test_a_look_for_a_job_too_many_finds_none_and_says_nothing(
    single: Dispatcher, capsys: pytest.CaptureFixture[str]
) -> None:
    gate, done = Event(), []

    def first() -> None:
        gate.wait()
        single.submit(Task(lambda: done.append("b")))

    submit_and_wait(single, first, lambda: done.append("a"))
    gate.set()
    while len(done) < 2:
        gevent.sleep(0)
    gevent.sleep(0)

    assert done == ["a", "b"]
    assert capsys.readouterr().err == ""


def test_a_pool_is_stuck_when_its_first_job_has_waited_for_long(
    pool: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Event()
    submit_and_wait(pool, *[gate.wait] * MOST)
    assert not pool.is_stuck
    submit_and_wait(pool, lambda: None)
    assert not pool.is_stuck

    monkeypatch.setattr(dispatcher, "PATIENCE_S", 0.0)
    assert pool.is_stuck

    gate.set()
    while pool.waiting_count:
        gevent.sleep(0)
    assert not pool.is_stuck


def test_with_the_bound_lifted_all_that_wait_are_run(pool: Dispatcher) -> None:
    gate, done = Event(), []
    submit_and_wait(pool, *[gate.wait] * MOST)
    submit_and_wait(pool, *[lambda n=n: done.append(n) for n in range(5)])

    pool.lift_bound()
    while len(done) < 5:
        gevent.sleep(0)

    assert done == list(range(5))
    gate.set()


def test_an_error_of_our_own_is_shown_and_neither_ends_the_program_nor_keeps_others_waiting(
    pool: Dispatcher, capsys: pytest.CaptureFixture[str]
) -> None:
    gate, done = Event(), []

    def fail() -> None:
        gate.wait()
        raise LookupError("a mistake of ours")

    submit_and_wait(pool, *[fail] * MOST)
    submit_and_wait(pool, lambda: done.append("who waited"))
    gate.set()
    with gevent.Timeout(5, AssertionError("nobody works any more")):
        while not done:
            gevent.sleep(0)

    assert pool.worker_count == 1
    assert capsys.readouterr().err.count("LookupError: a mistake of ours") == MOST


def test_who_comes_as_the_bound_is_lifted_is_run_beside_those_that_waited(pool: Dispatcher) -> None:
    gate, done = Event(), []
    submit_and_wait(pool, *[gate.wait] * MOST)
    submit_and_wait(pool, gate.wait)

    in_hub(lambda: (pool.lift_bound(), pool.run(Task(lambda: done.append("late")))))
    gevent.sleep(0)

    assert done == ["late"]
    gate.set()
