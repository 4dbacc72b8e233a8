"""Members of one group, with real sockets: what each gets, when it leaves, and what is counted."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from tina4_wsgi.engine.groups import Group, Groups
from tina4_wsgi.hub.flush_queue import FlushQueue
from tina4_wsgi.hub.poller import Poller
from tina4_wsgi.websocket.seams import TransportOwner
from tina4_wsgi.websocket.transport import Transport

FLUSH_BYTES = 262_144
WAIT_S = 5.0


class Member(TransportOwner):
    """One who is in groups, and the peer that reads what was sent to it."""

    def __init__(
        self, poller: Poller, flush_queue: FlushQueue, wrap: Callable[[Any], Any] | None = None
    ) -> None:
        ours, self.peer = socket.socketpair()
        ours.setblocking(False)
        self.peer.setblocking(False)
        self.errors: list[str] = []
        stream = ours if wrap is None else wrap(ours)
        self.transport = Transport(stream, poller, flush_queue, self, 1_000_000)

    def lost(self) -> None:
        """The socket is closed."""

    def stalled(self) -> None:
        """It waits for its peer."""

    def failed(self, error: BaseException) -> None:
        self.errors.append(str(error))

    def got(self) -> bytes:
        """Give all that has arrived."""
        try:
            return self.peer.recv(1_000_000)
        except BlockingIOError:
            return b""


class Hall:
    """Groups and their members, in the turns of this hub."""

    def __init__(self) -> None:
        loop = gevent.get_hub().loop
        self._poller = Poller(loop)
        self.flush_queue = FlushQueue(loop.run_callback)
        self.groups = Groups(self.flush_queue)
        self.members: list[Member] = []

    def enter(
        self, name: str = "/room", wrap: Callable[[Any], Any] | None = None
    ) -> tuple[Group, Member]:
        member = Member(self._poller, self.flush_queue, wrap)
        self.members.append(member)
        group = self.groups.add(name, member.transport)
        member.transport.group = group
        return group, member

    def close(self) -> None:
        for member in self.members:
            member.transport.abort()
            member.peer.close()
        self._poller.close()


@pytest.fixture
def hall() -> Iterator[Hall]:
    hall = Hall()
    yield hall
    gevent.sleep(0)
    hall.close()


def turn() -> None:
    gevent.sleep(0)


def test_frames_wait_for_the_end_of_the_turn_and_leave_together(hall: Hall) -> None:
    group, one = hall.enter()
    _, two = hall.enter()

    for frame in (b"a", b"b", b"c"):
        group.broadcast(frame)
    assert (one.got(), group.pending) == (b"", [b"a", b"b", b"c"])
    turn()

    assert (one.got(), two.got(), group.pending) == (b"abc", b"abc", [])
    assert (one.transport.sent_messages, one.transport.sent_bytes) == (3, 3)


@pytest.mark.parametrize(("size", "is_sent"), [(FLUSH_BYTES - 1, False), (FLUSH_BYTES, True)])
def test_who_broadcasts_without_end_is_flushed_before_the_end_of_the_turn(
    hall: Hall, size: int, is_sent: bool
) -> None:
    group, _ = hall.enter()

    for _ in range(2):  # the second time as the first
        group.broadcast(b"x" * size)
        assert group.pending
        group.broadcast(b"y")
        assert bool(group.pending) is not is_sent
        turn()
        hall.members[0].got()


def test_a_frame_that_a_member_is_left_out_of_comes_to_all_others(hall: Hall) -> None:
    group, sender = hall.enter()
    _, other = hall.enter()

    group.broadcast(b"a")
    group.broadcast(b"b", sender.transport)
    group.broadcast(b"c")
    turn()

    assert (sender.got(), other.got()) == (b"ac", b"abc")
    assert [one.transport.sent_messages for one in (sender, other)] == [2, 3]
    assert sender.transport.mark == 0


def test_who_is_left_out_first_gets_the_rest_alone(hall: Hall) -> None:
    group, sender = hall.enter()

    group.broadcast(b"a", sender.transport)
    group.broadcast(b"b")
    group.broadcast(b"c")
    turn()
    assert (sender.got(), sender.transport.sent_messages) == (b"bc", 2)

    group.broadcast(b"d", sender.transport)
    turn()
    group.broadcast(b"e")
    turn()
    assert (sender.got(), sender.transport.sent_messages) == (b"e", 3)


class Wire:
    """A socket that counts how often it is sent something."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.sends = 0

    def send(self, data: bytes) -> int:
        self.sends += 1
        return self._sock.send(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def test_who_is_left_out_of_all_frames_of_a_turn_costs_no_call_of_send(hall: Hall) -> None:
    wires: list[Wire] = []

    def wrap(sock: socket.socket) -> Wire:
        wires.append(Wire(sock))
        return wires[-1]

    group, sender = hall.enter(wrap=wrap)
    hall.enter(wrap=wrap)

    group.broadcast(b"a", sender.transport)
    group.broadcast(b"b", sender.transport)
    turn()

    assert [one.sends for one in wires] == [0, 1]
    assert (sender.transport.mark, sender.transport.sent_messages) == (0, 0)


def test_somebody_of_another_group_is_not_left_out_of_this_one(hall: Hall) -> None:
    group, member = hall.enter("/room")
    _, stranger = hall.enter("/hall")

    group.broadcast(b"a", stranger.transport)
    turn()

    assert (member.got(), stranger.got(), stranger.transport.mark) == (b"a", b"", 0)


def test_own_frames_and_broadcasts_keep_their_order(hall: Hall) -> None:
    group, one = hall.enter()

    group.broadcast(b"a")
    one.transport.write(b"b")
    group.broadcast(b"c")
    group.broadcast(b"d")
    one.transport.write(b"e")
    turn()

    assert (one.got(), one.transport.sent_messages) == (b"abcde", 3)


def test_a_flush_of_nothing_sends_nobody_anything_early(hall: Hall) -> None:
    group, one = hall.enter()
    one.transport.write(b"own")

    group.flush()
    assert one.got() == b""
    turn()

    assert (one.got(), one.transport.sent_messages) == (b"own", 0)


def test_who_leaves_gets_what_was_said_before_and_nothing_after(hall: Hall) -> None:
    group, leaver = hall.enter()
    _, stays = hall.enter()

    group.broadcast(b"a")
    leaver.transport.leave_group()
    hall.groups.remove(group, leaver.transport)
    group.broadcast(b"b")
    turn()

    assert (leaver.got(), stays.got()) == (b"a", b"ab")
    assert leaver.transport.mark == 0


def test_a_frame_for_each_leaves_out_one_and_counts(hall: Hall) -> None:
    group, one = hall.enter()
    _, two = hall.enter()

    group.write_each(b"a", None)
    group.write_each(b"b", one.transport)
    turn()

    assert (one.got(), two.got()) == (b"a", b"ab")
    assert [member.transport.sent_messages for member in (one, two)] == [1, 2]


def test_members_are_listed_in_the_order_of_joining_and_once(hall: Hall) -> None:
    group, one = hall.enter()
    assert group.members() == (one.transport,)
    _, two = hall.enter()
    hall.groups.add("/room", one.transport)

    assert group.members() == (one.transport, two.transport)
    assert group.members() is group.members()
    hall.groups.remove(group, one.transport)

    assert group.members() == (two.transport,)
    assert len(group) == 1


def test_a_group_is_there_as_long_as_it_has_members(hall: Hall) -> None:
    group, one = hall.enter()
    _, two = hall.enter()
    assert hall.groups.get("/room") is group
    assert (hall.groups.count("/room"), hall.groups.count("/hall")) == (2, 0)
    assert (hall.groups.names(), len(hall.groups)) == (["/room"], 1)

    hall.groups.remove(group, one.transport)
    hall.groups.remove(group, one.transport)
    assert hall.groups.get("/room") is group
    hall.groups.remove(group, two.transport)

    assert (hall.groups.get("/room"), hall.groups.names(), len(hall.groups)) == (None, [], 0)


def test_who_leaves_an_old_group_late_takes_no_new_one_of_that_name_away(hall: Hall) -> None:
    old, one = hall.enter()
    hall.groups.remove(old, one.transport)
    young, two = hall.enter()
    assert young is not old

    hall.groups.remove(old, one.transport)

    assert hall.groups.get("/room") is young
    assert young.members() == (two.transport,)


def test_an_error_of_ours_is_logged_with_the_name_of_the_group(
    hall: Hall, caplog: pytest.LogCaptureFixture
) -> None:
    group, _ = hall.enter("/" + 300 * "x")

    group.failed(LookupError("a mistake of ours"))
    turn()

    assert [record.getMessage() for record in caplog.records] == [
        f"broadcasts to '/{198 * 'x'} failed"
    ]


Say = Callable[[Group], Any]


@pytest.mark.parametrize(
    "say",
    [
        lambda group: group.broadcast(b"all"),
        lambda group: group.write_each(b"all", None),
    ],
    ids=["broadcast", "write_each"],
)
def test_one_that_fails_costs_the_others_nothing(hall: Hall, say: Say) -> None:
    group, _ = hall.enter()
    _, bad = hall.enter()
    hall.enter()

    def fail() -> None:
        raise LookupError("a mistake of ours")

    bad.lost = fail  # type: ignore[method-assign]
    bad.peer.close()
    say(group)
    turn()
    del bad.lost

    assert [one.got() for one in hall.members if one is not bad] == [b"all"] * 2
    assert bad.errors == ["a mistake of ours"]
