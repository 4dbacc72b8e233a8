"""One timer looks at all deadlines, as long as there are any."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace

import gevent
import pytest

from tina4_wsgi.hub import sweeper
from tina4_wsgi.hub.sweeper import Sweeper

WAIT_S = 5.0


class Loop:
    """Stands for the hub's: has one timer, which rings when the test says so."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self._ring: Callable[[], object] | None = None

    def timer(self, after: float, repeat: float, ref: bool) -> Loop:
        self.told.append((after, repeat, ref))
        return self

    def start(self, function: Callable[[], object], update: bool) -> None:
        assert self._ring is None
        self.told.append(f"start, update={update}")
        self._ring = function

    def stop(self) -> None:
        self.told.append("stop")
        self._ring = None

    def close(self) -> None:
        self.told.append("close")

    def ring(self) -> None:
        assert self._ring is not None
        self._ring()

    @property
    def is_running(self) -> bool:
        return self._ring is not None


class Patient:
    """Something with a deadline in `in_s` seconds; `then` is called when it is due."""

    def __init__(self, in_s: float, then: Callable[[], object] = lambda: None) -> None:
        self.due_s = time.monotonic() + in_s
        self.told: list[object] = []
        self._then = then

    def on_due(self, now_s: float) -> None:
        self.told.append(now_s)
        self._then()

    def failed(self, error: BaseException) -> None:
        self.told.append(error)


def nothing_to_do() -> bool:
    return False


def test_the_timer_alone_keeps_no_process_alive_and_rings_four_times_a_second() -> None:
    loop = Loop()

    Sweeper(loop, [], nothing_to_do)

    assert loop.told == [(0.25, 0.25, False)]


def test_those_that_are_due_are_told_and_no_others() -> None:
    loop, overdue, early = Loop(), Patient(-1), Patient(60)
    watch = Sweeper(loop, [early, overdue], nothing_to_do)

    watch.wake()
    began_s = time.monotonic()
    loop.ring()

    assert (len(overdue.told), early.told) == (1, [])
    assert began_s <= overdue.told[0] <= time.monotonic()  # type: ignore[operator]


def test_a_deadline_is_due_at_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, one = Loop(), Patient(0)
    watch = Sweeper(loop, [one], nothing_to_do)
    monkeypatch.setattr(sweeper, "time", SimpleNamespace(monotonic=lambda: one.due_s))

    watch.wake()
    loop.ring()

    assert one.told == [one.due_s]


def test_whoever_wakes_it_again_starts_no_second_timer() -> None:
    loop = Loop()
    watch = Sweeper(loop, [Patient(60)], nothing_to_do)

    watch.wake()
    watch.wake()

    assert loop.told[1:] == ["start, update=True"]


def test_it_sleeps_when_there_is_nothing_to_watch_and_wakes_again() -> None:
    loop, watched = Loop(), [Patient(60)]
    watch = Sweeper(loop, watched, nothing_to_do)
    watch.wake()
    loop.ring()
    assert loop.is_running

    watched.clear()
    loop.ring()
    assert not loop.is_running
    watch.wake()

    assert loop.is_running


def test_it_goes_on_as_long_as_the_housekeeping_has_more_to_do() -> None:
    loop, more = Loop(), [True, False]
    watch = Sweeper(loop, [], lambda: more.pop(0))
    watch.wake()

    loop.ring()
    assert loop.is_running
    loop.ring()

    assert (loop.is_running, more) == (False, [])


@pytest.mark.parametrize("error", [LookupError("bad"), SystemExit(3)])
def test_one_that_fails_is_told_so_and_those_behind_it_are_looked_at(error: BaseException) -> None:
    def fail() -> None:
        raise error

    loop, bad, good = Loop(), Patient(-1, fail), Patient(-1)
    watch = Sweeper(loop, [bad, good], nothing_to_do)

    watch.wake()
    loop.ring()

    assert (bad.told[1:], len(good.told)) == ([error], 1)


def test_a_deadline_may_take_others_away() -> None:
    loop, watched = Loop(), dict.fromkeys([Patient(-1), Patient(-1)])
    first = next(iter(watched))
    first._then = watched.clear
    watch = Sweeper(loop, watched.keys(), nothing_to_do)

    watch.wake()
    loop.ring()

    assert len(first.told) == 1
    assert not loop.is_running


def test_a_closed_one_rings_no_more() -> None:
    loop = Loop()
    watch = Sweeper(loop, [Patient(60)], nothing_to_do)
    watch.wake()

    watch.close()

    assert loop.told[-2:] == ["stop", "close"]


def test_a_timer_of_the_hub_rings_by_itself() -> None:
    one = Patient(-1)
    watch = Sweeper(gevent.get_hub().loop, [one], nothing_to_do)

    watch.wake()
    with gevent.Timeout(WAIT_S, AssertionError("it never rang")):
        while not one.told:
            gevent.sleep(0.01)

    watch.close()
