"""One broadcast goes to each hub in its own way, and to the other processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from tina4_wsgi.backplane.envelope import Kind
from tina4_wsgi.engine.fanout import Fanout
from tina4_wsgi.engine.histories import Histories
from tina4_wsgi.errors import ForkError
from tina4_wsgi.hub.native import get_ident
from tina4_wsgi.routing.names import GroupKind

PATH, ROOM = GroupKind.PATH, GroupKind.ROOM


class Desk:
    """Stands for the engine of this thread's hub, or of another thread's."""

    def __init__(self, told: list[Any], is_here: bool = True, is_alive: bool = True) -> None:
        self.thread_ident = get_ident() if is_here else 0
        self.is_alive = is_alive
        self.mailbox = self
        self._told = told

    def deliver(self, *what: object) -> None:
        self._told.append(("here", *what))

    def post(self, function: Callable[..., object], *what: object) -> None:
        assert function == self.deliver
        self._told.append(("posted", *what))


class Wire:
    """Stands for the relay to other processes."""

    def __init__(self, told: list[Any]) -> None:
        self.had_to_wait = False
        self._told = told

    def carry(self, *what: object) -> None:
        self._told.append(("carried", *what))

    def enter(self, *what: object) -> None:
        self._told.append(("entered", *what))

    def leave(self, *what: object) -> None:
        self._told.append(("left", *what))

    def wait_until_heard(self, *what: object) -> bool:
        self._told.append(("waited", *what))
        return self.had_to_wait


def make(*desks: Any, relay: Any = None) -> Fanout:
    fanout = Fanout()
    for desk in desks:
        fanout.add(desk)
    fanout.relay = relay
    return fanout


def test_this_thread_is_served_at_once_other_threads_by_post_and_dead_ones_not_at_all() -> None:
    told: list[Any] = []
    fanout = make(Desk(told), Desk(told, is_here=False), Desk(told, False, is_alive=False))

    fanout.broadcast(PATH, "/a", b"frame")

    assert told == [("here", PATH, "/a", b"frame", None), ("posted", PATH, "/a", b"frame", None)]


@pytest.mark.parametrize(("kind", "outside"), [(PATH, Kind.PATH), (ROOM, Kind.ROOM)])
def test_other_processes_get_it_behind_those_of_this_one(kind: GroupKind, outside: Kind) -> None:
    told: list[Any] = []
    fanout = make(Desk(told), relay=Wire(told))

    fanout.broadcast(kind, "a", b"frame")

    assert told == [("here", kind, "a", b"frame", None), ("carried", outside, "a", b"frame")]


def test_what_other_processes_say_is_not_carried_back() -> None:
    told: list[Any] = []
    fanout = make(Desk(told), relay=Wire(told))

    fanout.broadcast_here(PATH, "/a", b"frame")

    assert told == [("here", PATH, "/a", b"frame", None)]


def test_a_removed_engine_gets_nothing_and_the_others_do() -> None:
    gone: list[Any] = []
    told: list[Any] = []
    desk = Desk(gone)
    fanout = make(desk, Desk(told))

    fanout.remove(desk)  # type: ignore[arg-type]
    fanout.broadcast(PATH, "/a", b"frame")

    assert (gone, len(told)) == ([], 1)


def test_paths_alone_are_watched() -> None:
    watched: list[str] = []
    fanout = make()
    fanout.broadcast(PATH, "/unwatched", b"")
    fanout.watch = watched.append

    fanout.broadcast(PATH, "/a", b"")
    fanout.broadcast(ROOM, "lobby", b"")
    fanout.broadcast_here(PATH, "/b", b"")

    assert watched == ["/a", "/b"]


def test_the_relay_hears_who_enters_and_leaves() -> None:
    told: list[Any] = []
    fanout = make(relay=Wire(told))

    fanout.entered(PATH, "/a")
    fanout.entered(ROOM, "lobby")
    fanout.left(ROOM, "lobby")
    fanout.left(PATH, "/a")

    assert told == [
        ("entered", Kind.PATH, "/a"),
        ("entered", Kind.ROOM, "lobby"),
        ("left", Kind.ROOM, "lobby"),
        ("left", Kind.PATH, "/a"),
    ]


def test_without_other_processes_there_is_nothing_to_wait_for() -> None:
    assert make().wait_until_heard(PATH, "/a") is False


@pytest.mark.parametrize("had_to_wait", [True, False])
def test_with_others_the_relay_says_whether_it_had_to_wait(had_to_wait: bool) -> None:
    told: list[Any] = []
    relay = Wire(told)
    relay.had_to_wait = had_to_wait

    assert make(relay=relay).wait_until_heard(ROOM, "lobby") is had_to_wait
    assert told == [("waited", Kind.ROOM, "lobby")]


def test_nobody_is_on_a_path_before_the_runtime_says_so() -> None:
    assert make().members("/a") == []


# In a forked child


def nobody(path: str) -> list[Any]:
    return []


def test_a_child_carries_to_other_processes_alone() -> None:
    told: list[Any] = []
    fanout = make(Desk(told), relay=Wire(told))

    fanout.forsake(Wire(told), nobody, 3)  # type: ignore[arg-type]
    fanout.broadcast(PATH, "/a", b"frame")

    assert told == [("carried", Kind.PATH, "/a", b"frame")]
    assert fanout.members is nobody


def test_a_child_without_others_says_that_it_reaches_nobody() -> None:
    fanout = make(Desk([]))
    fanout.forsake(None, nobody, 3)

    with pytest.raises(ForkError, match="without a backplane it reaches none of their clients"):
        fanout.broadcast(PATH, "/a", b"frame")


@pytest.mark.parametrize("count", [0, 3])
def test_a_child_can_leave_nobody_out(count: int) -> None:
    told: list[Any] = []
    fanout = make()
    fanout.forsake(Wire(told), nobody, count)  # type: ignore[arg-type]

    with pytest.raises(ForkError, match="leave `exclude_self` out"):
        fanout.broadcast(PATH, "/a", b"frame", exclude=object())  # type: ignore[arg-type]
    assert told == []


def test_a_child_may_be_forked_while_another_thread_changes_the_engines() -> None:
    fanout, told = make(), []
    fanout._lock.acquire()

    fanout.forsake(None, nobody, 0)
    fanout.add(Desk(told))  # type: ignore[arg-type]
    fanout.broadcast_here(PATH, "/a", b"frame")

    assert len(told) == 1


class KeepingDesk(Desk):
    """Stands for an engine of an app that keeps history."""

    is_keeping = True

    def finish_keeping(self) -> bool:
        self._told.append("kept")
        return True

    def put_behind(self, *what: object) -> None:
        raise AssertionError("only posted")

    def post(self, function: Callable[..., object], *what: object, **options: object) -> None:
        assert function == self.put_behind
        self._told.append("posted")

    def deliver(self, *what: object) -> None:
        self._told.append("here")


def test_what_is_unkept_goes_to_other_hubs_behind_what_this_one_still_has_to_keep() -> None:
    told: list[Any] = []
    fanout = make(KeepingDesk(told, is_here=False), KeepingDesk(told))
    fanout.histories = cast("Histories", object())

    fanout.broadcast(PATH, "/a", b"frame", keep=False)

    assert told == ["kept", "here", "posted"]
