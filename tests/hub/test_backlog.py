"""Bytes that wait for the kernel: what is offered, what may be dropped, and who waits."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from tina4_wsgi.hub.backlog import Backlog


class Kernel:
    """Stands for a stream whose peer reads when a test says so; takes as many bytes as it says."""

    def __init__(self, *takes: int) -> None:
        self._takes = list(takes)
        self.offered: list[bytes] = []

    def send(self, data: bytes | memoryview) -> int:
        self.offered.append(bytes(data))
        return min(self._takes.pop(0), len(data)) if self._takes else len(data)


class Watcher:
    """Stands for gevent's; writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def stop(self) -> None:
        self.told.append("stop")

    def close(self) -> None:
        self.told.append("close")


def make(first: bytes = b"first", sent: int = 2, *droppable: bytes, own: bytes = b"") -> Backlog:
    backlog = Backlog(Watcher(), first, sent)
    for piece in droppable:
        backlog.append(piece, is_droppable=True)
    if own:
        backlog.append(own)
    return backlog


def send_all(backlog: Any, kernel: Kernel) -> list[int]:
    sent = []
    while len(backlog):
        sent.append(backlog.send_some(kernel.send))
    return sent


def test_the_rest_of_a_piece_is_offered_by_itself_and_what_is_behind_it_in_one_chunk() -> None:
    kernel = Kernel()

    sent = send_all(make(b"first", 2, b"ab", b"cd", own=b"ef"), kernel)

    assert (kernel.offered, sent) == ([b"rst", b"abcdef"], [3, 6])


def test_what_the_kernel_leaves_is_offered_again() -> None:
    kernel = Kernel(1, 1, 0, 2, 1)

    sent = send_all(make(b"first", 2, b"ab", b"cd"), kernel)

    assert kernel.offered == [b"rst", b"st", b"t", b"t", b"abcd", b"bcd"]
    assert sent == [1, 1, 0, 1, 1, 3]


def test_a_piece_of_which_nothing_was_taken_is_offered_with_what_is_behind_it() -> None:
    kernel = Kernel(5)

    sent = send_all(make(b"whole", 0, b"ab"), kernel)

    assert (kernel.offered, sent) == ([b"wholeab", b"ab"], [5, 2])


def test_nothing_is_sent_where_all_was_dropped() -> None:
    kernel, backlog = Kernel(), make(b"first", 2, b"ab")
    backlog.send_some(kernel.send)
    assert backlog.drop_oldest(10) == 2

    assert backlog.send_some(kernel.send) == 0
    assert kernel.offered == [b"rst"]


@pytest.mark.parametrize(
    ("waiting", "offered"),
    [
        ([65_535, 1, 7], [65_536, 7]),
        ([65_535, 9, 7], [65_544, 7]),
        ([7, 65_535, 7], [65_542, 7]),
        ([65_536, 1], [65_536, 1]),
        ([7, 8, 9], [24]),
    ],
)
def test_small_pieces_are_joined_to_chunks_of_64_kib(
    waiting: list[int], offered: list[int]
) -> None:
    kernel, backlog = Kernel(), make()
    for size in waiting:
        backlog.append(b"y" * size)

    send_all(backlog, kernel)

    assert [len(one) for one in kernel.offered[1:]] == offered


def test_a_large_piece_is_offered_as_it_is_not_copied() -> None:
    class Same(Kernel):
        def send(self, data: bytes | memoryview) -> int:
            self.objects = [*getattr(self, "objects", ()), data]
            return len(data)

    large, backlog, kernel = b"y" * 65_536, make(), Same()
    backlog.append(large)
    backlog.append(b"z")

    send_all(backlog, kernel)

    assert kernel.objects[1] is large


@pytest.mark.parametrize(
    ("least", "freed", "left"),
    [
        (0, 0, [b"rst", b"abcdefOWNghi"]),
        (1, 3, [b"rst", b"defOWNghi"]),
        (3, 3, [b"rst", b"defOWNghi"]),
        (4, 6, [b"rst", b"OWNghi"]),
        (7, 9, [b"rst", b"OWN"]),
        (99, 9, [b"rst", b"OWN"]),
    ],
)
def test_the_oldest_broadcasts_go_and_never_a_frame_for_one_peer(
    least: int, freed: int, left: list[bytes]
) -> None:
    backlog, kernel = make(b"first", 2, b"abc", b"def", own=b"OWN"), Kernel()
    backlog.append(b"ghi", is_droppable=True)

    assert backlog.drop_oldest(least) == freed

    send_all(backlog, kernel)
    assert kernel.offered == left


def test_a_chunk_of_which_nothing_was_taken_may_not_be_dropped_any_more() -> None:
    kernel, backlog = Kernel(99, 0), make(b"first", 2, b"abc", b"def")
    backlog.send_some(kernel.send)
    backlog.send_some(kernel.send)

    assert backlog.drop_oldest(99) == 0
    assert backlog.drop() == 6


def test_a_broadcast_between_two_pieces_may_be_dropped() -> None:
    kernel, backlog = Kernel(), make(b"first", 2, b"abc")
    backlog.send_some(kernel.send)

    assert backlog.drop_oldest(1) == 3
    assert len(backlog) == 0


def test_a_broadcast_behind_joined_ones_may_still_be_dropped() -> None:
    kernel, backlog = Kernel(99, 2), make(b"first", 2, b"abc", own=b"def")
    backlog.send_some(kernel.send)
    backlog.send_some(kernel.send)
    backlog.append(b"ghi", is_droppable=True)

    assert backlog.drop_oldest(1) == 3
    send_all(backlog, kernel)
    assert kernel.offered[2:] == [b"cdef"]


def test_of_a_backlog_that_is_dropped_a_piece_that_was_begun_stays() -> None:
    kernel, backlog = Kernel(), make(b"first", 2, b"abc", own=b"def")

    assert backlog.drop() == 3

    send_all(backlog, kernel)
    assert kernel.offered == [b"rst"]


def test_between_two_pieces_all_is_dropped() -> None:
    backlog = make(b"first", 2, b"abc", own=b"def")
    backlog.send_some(Kernel().send)

    assert (backlog.drop(), len(backlog)) == (0, 0)
    backlog.append(b"ghi")
    assert backlog.drop_oldest(9) == 0


def test_dropping_all_leaves_later_pieces_as_droppable_as_they_are() -> None:
    backlog, kernel = make(b"first", 2, b"abc"), Kernel()
    backlog.drop()
    backlog.append(b"own")
    backlog.append(b"all", is_droppable=True)

    assert backlog.drop_oldest(99) == 3
    send_all(backlog, kernel)
    assert kernel.offered == [b"rst", b"own"]


def test_whoever_waits_for_room_goes_on_when_the_kernel_takes_bytes() -> None:
    backlog = make(b"first", 2, b"ab")
    waiting = [gevent.spawn(backlog.wait_for_room) for _ in range(2)]
    gevent.sleep(0)
    assert not any(one.ready() for one in waiting)

    backlog.send_some(Kernel(1).send)
    gevent.joinall(waiting, timeout=5, raise_error=True)
    assert [one.successful() for one in waiting] == [True, True]

    late = gevent.spawn(backlog.wait_for_room)
    gevent.sleep(0)
    assert not late.ready()
    backlog.send_some(Kernel().send)
    late.get(timeout=5)


def test_whoever_waits_for_room_goes_on_when_the_backlog_is_closed() -> None:
    watcher = Watcher()
    backlog = Backlog(watcher, b"first", 2)
    waiting = gevent.spawn(backlog.wait_for_room)
    gevent.sleep(0)

    backlog.close()

    waiting.get(timeout=5)
    assert watcher.told == ["stop", "close"]


def test_progress_is_noted_when_bytes_are_taken_alone() -> None:
    class Full(Kernel):
        def send(self, data: bytes | memoryview) -> int:
            raise BlockingIOError

    backlog = make(b"first", 2)
    backlog.progressed_at_s = 1.0

    with pytest.raises(BlockingIOError):
        backlog.send_some(Full().send)
    assert backlog.progressed_at_s == 1.0
    backlog.send_some(Kernel(1).send)
    assert backlog.progressed_at_s > 1.0
