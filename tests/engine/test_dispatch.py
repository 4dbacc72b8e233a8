"""The pool of worker greenlets: what waits its turn, what ends it, and what it is trimmed to."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent.event import Event
from greenlet import GreenletExit

from tina4_wsgi.dispatch import Dispatcher

MOST = 20


class Task:
    """A job that does what it was given to do."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.work = work


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


def test_a_worker_that_somebody_kills_is_replaced(pool: Dispatcher) -> None:
    done = []

    def be_killed() -> None:
        raise GreenletExit

    submit_and_wait(pool, be_killed)
    assert pool.worker_count == 0
    submit_and_wait(pool, lambda: done.append("next"))

    assert (done, pool.worker_count) == (["next"], 1)


def test_a_job_that_ends_the_program_ends_the_main_greenlet_and_not_the_pool(pool: Dispatcher) -> None:
    done = []

    def leave() -> None:
        raise SystemExit(3)

    pool.submit(Task(leave))
    with pytest.raises(SystemExit, match="3"):
        gevent.sleep(5)
    submit_and_wait(pool, lambda: done.append("next"))

    assert (done, pool.worker_count) == (["next"], 1)


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
