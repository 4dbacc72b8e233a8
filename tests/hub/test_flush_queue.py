"""What is queued in one turn of the hub is flushed once, at its end, groups first."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tina4_wsgi.hub.flush_queue import FlushQueue


class Turn:
    """Stands for the hub's loop: runs what it was asked to when the test ends the turn."""

    def __init__(self) -> None:
        self.asked: list[Callable[[], object]] = []

    def run_callback(self, function: Callable[[], object]) -> None:
        self.asked.append(function)

    def end(self) -> None:
        asked, self.asked = self.asked, []
        for one in asked:
            one()


class Sink:
    """Something to flush; `then` is called at each flush."""

    def __init__(self, name: str, told: list[str], then: Callable[[], object] | None = None):
        self._name, self._told, self._then = name, told, then

    def flush(self) -> None:
        self._told.append(self._name)
        if self._then is not None:
            self._then()

    def failed(self, error: BaseException) -> None:
        self._told.append(f"{self._name} failed: {error}")


class Meter:
    """Counts the flushes of groups."""

    def __init__(self) -> None:
        self.flushed: list[Sink] = []

    def flush(self, one: Sink) -> None:
        self.flushed.append(one)
        one.flush()


def test_a_turn_is_asked_for_one_flush_whoever_comes() -> None:
    turn, told = Turn(), []
    queue = FlushQueue(turn.run_callback)

    queue.add_transport(Sink("a", told))
    queue.add_group(Sink("room", told))
    queue.add_transport(Sink("b", told))
    queue.add_group(Sink("hall", told))
    assert (len(turn.asked), told) == (1, [])
    turn.end()

    assert told == ["room", "hall", "a", "b"]


@pytest.mark.parametrize("kind", ["add_group", "add_transport"])
def test_each_turn_is_asked_anew_and_flushes_nobody_twice(kind: str) -> None:
    turn, told = Turn(), []
    queue = FlushQueue(turn.run_callback)

    for name in ("first", "second"):
        getattr(queue, kind)(Sink(name, told))
        assert len(turn.asked) == 1
        turn.end()

    assert told == ["first", "second"]
    assert turn.asked == []


@pytest.mark.parametrize("kind", ["add_group", "add_transport"])
def test_what_is_added_while_others_are_flushed_has_its_turn_next(kind: str) -> None:
    turn, told = Turn(), []
    queue = FlushQueue(turn.run_callback)
    late = Sink("late", told)
    getattr(queue, kind)(Sink("first", told, lambda: getattr(queue, kind)(late)))

    turn.end()
    assert (told, len(turn.asked)) == (["first"], 1)
    turn.end()

    assert told == ["first", "late"]


@pytest.mark.parametrize("kind", ["add_group", "add_transport"])
@pytest.mark.parametrize("error", [LookupError("bad"), SystemExit("bad")])
def test_one_that_fails_keeps_nobody_from_being_flushed(kind: str, error: BaseException) -> None:
    turn, told = Turn(), []
    queue = FlushQueue(turn.run_callback)

    def fail() -> None:
        raise error

    getattr(queue, kind)(Sink("before", told))
    getattr(queue, kind)(Sink("bad", told, fail))
    getattr(queue, kind)(Sink("behind", told))
    queue.add_transport(Sink("last", told))
    turn.end()

    assert told == ["before", "bad", f"bad failed: {error}", "behind", "last"]


def test_groups_alone_are_metered() -> None:
    turn, told, meter = Turn(), [], Meter()
    queue = FlushQueue(turn.run_callback, meter)
    room = Sink("room", told)

    queue.add_transport(Sink("a", told))
    queue.add_group(room)
    turn.end()

    assert (told, meter.flushed) == (["room", "a"], [room])
