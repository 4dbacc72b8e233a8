"""What all keepers of processes do, tried without processes."""

from __future__ import annotations

import itertools

import pytest

from tina4_wsgi.supervision import supervisor as supervisor_module
from tina4_wsgi.supervision.supervisor import Supervisor, WorkerFailed


class Starting:
    """Stands in for a worker: it is ready at once or never, and ends when it is told how."""

    pids = itertools.count(1)

    def __init__(self, is_ready):
        self.pid = next(self.pids)
        self.is_ready = is_ready
        self.is_ending = False
        self.code = None

    def look(self):
        return self.code

    def kill(self):
        self.code = -9

    def wait(self):
        return self.code


class Listener:
    """Stands in for the listening socket."""

    is_closed = False

    def close(self):
        self.is_closed = True


@pytest.fixture
def clock(monkeypatch):
    """The time that the supervisor sees; the test sets it."""

    class Clock:
        now_s = 100.0

        def monotonic(self):
            return self.now_s

    clock = Clock()
    monkeypatch.setattr(supervisor_module, "time", clock)
    return clock


def turn(keeper):
    """Do what `run` does between two waits."""
    keeper._fill_up()
    keeper._look_at_workers()
    keeper._note_ready()
    keeper._look()


def test_the_pause_grows_while_no_worker_comes_to_serve(clock):
    started = []

    def start():
        started.append(Starting(is_ready=len(started) < 2))
        return started[-1]

    keeper = Supervisor(start, 2, Listener(), lambda: None)
    turn(keeper)
    pauses_s = []
    for _ in range(3):
        for worker in started:
            worker.code = 1
        turn(keeper)
        ended_s = clock.now_s
        while not keeper._workers:
            clock.now_s += 0.5
            keeper._fill_up()
        pauses_s.append(clock.now_s - ended_s)

    # The first two have served, so others are started at once.
    assert pauses_s == [0.5, 1.0, 4.0]


def test_a_worker_that_ends_before_all_serve_ends_the_others_and_fails(clock):
    started = [Starting(is_ready=False), Starting(is_ready=True)]
    listener = Listener()
    keeper = Supervisor(iter(started).__next__, 2, listener, lambda: pytest.fail("not ready"))
    keeper._fill_up()
    started[0].code = 3

    with pytest.raises(WorkerFailed, match=r"ended with exit code 3 before it served"):
        keeper._look_at_workers()

    assert listener.is_closed
    assert started[1].code == -9


def test_it_says_once_that_all_workers_serve(clock):
    calls = []
    started = [Starting(is_ready=True), Starting(is_ready=False)]
    keeper = Supervisor(iter(started).__next__, 2, Listener(), lambda: calls.append("ready"))
    turn(keeper)
    assert calls == []

    started[1].is_ready = True
    turn(keeper)
    turn(keeper)

    assert calls == ["ready"]
