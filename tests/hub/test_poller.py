"""Descriptors in one set: who is called, in whose turn, and what is left when they are closed."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from tina4_wsgi.hub import loop_poller
from tina4_wsgi.hub.dispatcher import Dispatcher
from tina4_wsgi.hub.loop_poller import LoopPoller, poller_for
from tina4_wsgi.hub.poller import MOST_EVENTS, Poller, Reader

WAIT_S = 5.0

KINDS = [Poller, LoopPoller]


class Line(Reader):
    """A reader of one socket, which writes down what comes; `then` is called with each piece."""

    def __init__(self, then: Callable[[bytes], object] = lambda piece: None) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.got: list[bytes] = []
        self.turns_left = 0
        self._then = then

    @property
    def descriptor(self) -> int:
        return self.ours.fileno()

    def on_readable(self) -> None:
        try:
            piece = self.ours.recv(100)
        except BlockingIOError:
            self.got.append(b"nothing")
            return
        self.got.append(piece)
        self._then(piece)

    def leave_turn(self) -> None:
        self.turns_left += 1


class Desk:
    """A poller and the lines that it watches."""

    def __init__(self, poller: Poller) -> None:
        self.poller = poller
        self.lines: list[Line] = []

    def open(self, then: Callable[[bytes], object] = lambda piece: None) -> Line:
        line = Line(then)
        self.lines.append(line)
        self.poller.add(line.descriptor, line)
        return line

    def close(self) -> None:
        self.poller.close()
        for line in self.lines:
            line.ours.close()
            line.theirs.close()


@pytest.fixture(params=KINDS)
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    desk = Desk(request.param(gevent.get_hub().loop))
    yield desk
    desk.close()


@pytest.fixture
def pooled() -> Iterator[Desk]:
    """A desk whose readers run in the workers of a pool."""
    hub = gevent.get_hub()
    pool = Dispatcher(hub, 3)
    desk = Desk(Poller(hub.loop, pool))
    yield desk
    desk.close()
    hub.loop.run_callback(pool.end_parked)
    gevent.sleep(0)


def turn(count: int = 2) -> None:
    for _ in range(count):
        gevent.sleep(0.001)


def test_a_reader_is_called_when_bytes_have_come(desk: Desk) -> None:
    first, second = desk.open(), desk.open()

    first.theirs.send(b"one")
    turn()
    second.theirs.send(b"two")
    turn()

    assert (first.got, second.got) == ([b"one"], [b"two"])


def test_who_sent_first_is_read_first(pooled: Desk) -> None:
    order: list[bytes] = []
    lines = [pooled.open(order.append) for _ in range(4)]

    for number in (2, 0, 3, 1):
        lines[number].theirs.send(b"%d" % number)
    turn()

    assert order == [b"2", b"0", b"3", b"1"]


def test_what_a_reader_leaves_unread_is_told_again(desk: Desk) -> None:
    line = desk.open()

    line.theirs.send(b"x" * 250)
    turn(4)

    assert [len(piece) for piece in line.got] == [100, 100, 50]


def test_the_end_of_a_stream_is_told_too(desk: Desk) -> None:
    line = desk.open(lambda piece: desk.poller.remove(line.descriptor))

    line.theirs.close()
    turn()

    assert line.got == [b""]


def test_a_removed_descriptor_is_silent_until_it_is_added_again(desk: Desk) -> None:
    line = desk.open()
    desk.poller.remove(line.descriptor)
    line.theirs.send(b"meanwhile")
    turn()
    assert line.got == []

    desk.poller.add(line.descriptor, line)
    turn()

    assert line.got == [b"meanwhile"]


def test_removing_what_is_not_watched_is_harmless(desk: Desk) -> None:
    line = desk.open()

    desk.poller.remove(line.descriptor)
    desk.poller.remove(line.descriptor)
    desk.poller.remove(100_000)

    assert len(desk.poller) == 0


def test_a_peer_that_hangs_up_while_it_is_removed_costs_no_turn(desk: Desk) -> None:
    other, line = desk.open(), desk.open()
    desk.poller.remove(line.descriptor)
    line.theirs.close()
    turn()

    other.theirs.send(b"still here")
    turn()

    assert (line.got, other.got) == ([], [b"still here"])


def test_a_descriptor_that_another_takes_over_belongs_to_the_other(desk: Desk) -> None:
    old = desk.open()
    number = old.descriptor
    desk.poller.remove(number)
    old.ours.close()
    young = desk.open()
    assert young.descriptor == number  # the lowest that is free

    young.theirs.send(b"hello")
    turn()

    assert (old.got, young.got) == ([], [b"hello"])


def test_a_reader_that_is_removed_by_an_earlier_one_of_its_turn_is_not_called(
    pooled: Desk,
) -> None:
    def remove_the_other(piece: bytes) -> None:
        for line in lines:
            if not line.got:
                pooled.poller.remove(line.descriptor)

    lines = [pooled.open(remove_the_other), pooled.open(remove_the_other)]
    for line in lines:
        line.theirs.send(b"me")
    turn(3)

    assert sorted(line.got for line in lines) == [[], [b"me"]]


def test_only_readers_keep_the_loop_alive(desk: Desk) -> None:
    line = desk.open()
    desk.poller.remove(line.descriptor)

    with pytest.raises(gevent.exceptions.LoopExit):
        gevent.get_hub().switch()


def test_many_events_are_handled_in_several_turns_and_none_is_lost(desk: Desk) -> None:
    lines = [desk.open() for _ in range(MOST_EVENTS + 50)]
    for line in lines:
        line.theirs.send(b"x")

    turn(4)

    assert all(line.got == [b"x"] for line in lines)


def test_a_kernel_that_watches_no_more_says_so() -> None:
    poller = Poller(gevent.get_hub().loop)

    with pytest.raises(OSError, match="Bad file descriptor"):
        poller.add(100_000, Reader())
    poller.close()


def test_an_error_of_our_own_ends_no_watcher(
    pooled: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(piece: bytes) -> None:
        if piece == b"bad":
            raise RuntimeError("a bug")

    line = pooled.open(fail)
    line.theirs.send(b"bad")
    turn(3)
    line.theirs.send(b"good")
    turn(3)

    assert line.got == [b"bad", b"good"]


@pytest.mark.parametrize("kind", [RuntimeError, SystemExit])
def test_what_reading_raises_is_logged(
    desk: Desk, kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    if isinstance(desk.poller, LoopPoller):
        return  # there gevent says it

    def fail(piece: bytes) -> None:
        raise kind("a bug")

    desk.open(fail).theirs.send(b"x")
    turn(3)

    assert [record.getMessage() for record in caplog.records if record.exc_info] == [
        "waiting for clients failed"
    ]


def test_it_counts_those_that_it_watches(desk: Desk) -> None:
    lines = [desk.open() for _ in range(3)]
    assert len(desk.poller) == 3

    desk.poller.remove(lines[0].descriptor)
    assert len(desk.poller) == 2
    desk.poller.close()

    assert len(desk.poller) == 0


def test_a_closed_one_calls_nobody_and_may_be_closed_again(desk: Desk) -> None:
    line = desk.open()
    line.theirs.send(b"late")

    desk.poller.close()
    desk.poller.close()
    turn()

    assert line.got == []


def test_a_closed_one_leaves_no_descriptor_open() -> None:
    before = set(os.listdir("/proc/self/fd"))
    desk = Desk(Poller(gevent.get_hub().loop))
    desk.open()
    desk.open()

    desk.close()

    assert set(os.listdir("/proc/self/fd")) - before == set()


def test_events_are_handled_one_at_a_time_and_a_step_says_whether_there_was_one(
    pooled: Desk,
) -> None:
    poller = pooled.poller
    seen: list[bool] = []
    lines = [pooled.open(lambda piece: seen.append(poller.has_more)) for _ in range(3)]
    assert (poller.has_more, poller.step()) == (False, False)
    for line in lines:
        line.theirs.send(b"x")

    turn()

    assert seen == [True, True, False]
    assert (poller.has_more, poller.step()) == (False, False)


def test_who_waits_is_told_that_others_go_on_once_and_nobody_else_is(pooled: Desk) -> None:
    gate = gevent.event.Event()
    first = pooled.open(lambda piece: gate.wait())
    other = pooled.open()
    first.theirs.send(b"x")
    turn()
    other.theirs.send(b"y")
    turn()

    assert (first.turns_left, other.turns_left) == (1, 0)
    gate.set()
    turn()
    assert (first.turns_left, other.turns_left) == (1, 0)


def test_an_event_of_a_reader_that_is_gone_is_passed_over_and_the_rest_handled() -> None:
    desk = Desk(Poller(gevent.get_hub().loop))
    others: list[Line] = []

    def remove_the_rest(piece: bytes) -> None:
        for line in others:
            if line is not last and not line.got:
                desk.poller.remove(line.descriptor)

    others = [desk.open(remove_the_rest) for _ in range(4)]
    last = desk.open()
    for line in (*others, last):
        line.theirs.send(b"x")
    turn(3)

    assert [len(line.got) for line in others].count(1) == 1
    assert last.got == [b"x"]
    desk.close()


def test_a_child_that_closes_the_set_takes_nothing_from_its_parent(desk: Desk) -> None:
    line = desk.open()
    read_end, write_end = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            desk.poller.close()
            os.write(write_end, b"done")
        finally:
            os._exit(0)
    os.read(read_end, 4)
    os.waitpid(pid, 0)
    os.close(read_end)
    os.close(write_end)

    line.theirs.send(b"for the parent")
    turn()

    assert line.got == [b"for the parent"]


def test_readers_of_one_turn_share_a_worker(pooled: Desk) -> None:
    workers: list[Any] = []
    lines = [pooled.open(lambda piece: workers.append(id(gevent.getcurrent()))) for _ in range(5)]
    for line in lines:
        line.theirs.send(b"x")

    turn()

    assert len(workers) == 5
    assert len(set(workers)) == 1


def test_while_one_reader_waits_the_others_of_its_turn_go_on(pooled: Desk) -> None:
    gate = gevent.event.Event()
    done: list[bytes] = []

    def wait(piece: bytes) -> None:
        if piece == b"wait":
            gate.wait()
        done.append(piece)

    lines = [pooled.open(wait) for _ in range(3)]
    for line, piece in zip(lines, (b"wait", b"go", b"go"), strict=True):
        line.theirs.send(piece)
    turn()
    assert (done, lines[0].turns_left) == ([b"go", b"go"], 1)

    gate.set()
    turn()

    assert done == [b"go", b"go", b"wait"]
    assert [line.turns_left for line in lines] == [1, 0, 0]


def test_where_all_workers_wait_the_hub_reads_on(pooled: Desk) -> None:
    gate = gevent.event.Event()
    waiters = [pooled.open(lambda piece: gate.wait()) for _ in range(3)]
    for line in waiters:
        line.theirs.send(b"x")
    turn()
    last = pooled.open()
    last.theirs.send(b"y")
    turn()

    assert last.got == [b"y"]
    gate.set()
    turn()


def test_a_system_without_epoll_watches_each_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = gevent.get_hub()
    assert type(poller_for(hub.loop, Dispatcher(hub, 1))) is Poller

    def has_none(module: str, name: str) -> object:
        raise AttributeError(name)

    monkeypatch.setattr(loop_poller, "get_original", has_none)

    assert type(poller_for(hub.loop, Dispatcher(hub, 1))) is LoopPoller
