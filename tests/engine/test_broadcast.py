"""Groups: who hears what, in which order, and what is left when everybody has gone."""

from __future__ import annotations

from typing import Any

import gevent

from tests.support.engine_house import House
from tests.support.raw import RawClient
from tina4_wsgi.routing.names import GroupKind


def quiet(connection: Any, event: str, data: str) -> None:
    """A callback that does nothing."""


def let_in(house: House, count: int, path: str = "/ws/room") -> tuple[list[RawClient], list[Any]]:
    pairs = [house.connect(quiet, path) for _ in range(count)]
    gevent.sleep(0)
    return [client for client, _ in pairs], [connection for _, connection in pairs]


def test_everybody_on_the_path_hears_a_broadcast_the_sender_included(house: House) -> None:
    clients, connections = let_in(house, 3)
    [stranger], _ = let_in(house, 1, "/ws/other")

    connections[0].broadcast("hi")
    connections[0].broadcast_to("/ws/other/", "there")

    assert [client.read_text() for client in clients] == ["hi"] * 3
    assert stranger.read_text() == "there"


def test_exclude_self_leaves_the_sender_out_and_nobody_else(house: House) -> None:
    clients, connections = let_in(house, 2)

    connections[0].broadcast("1")
    connections[0].broadcast("2", exclude_self=True)
    connections[0].broadcast("3")

    assert [clients[0].read_text() for _ in range(2)] == ["1", "3"]
    assert [clients[1].read_text() for _ in range(3)] == ["1", "2", "3"]


def test_frames_leave_in_the_order_of_the_calls_however_they_are_mixed(house: House) -> None:
    clients, (one, two) = let_in(house, 2)
    one.join("r")
    two.join("r")

    one.broadcast("a")
    two.send("b")
    one.broadcast("c")
    one.broadcast_to_room("r", "d")
    two.broadcast("e")
    two.send("f")
    one.broadcast("g", exclude_self=True)
    one.send("h")

    assert [clients[1].read_text() for _ in range(7)] == list("abcdefg")
    assert [clients[0].read_text() for _ in range(5)] == list("acdeh")


def test_a_newcomer_hears_its_own_join_broadcast_and_nothing_from_before(house: House) -> None:
    def greet(connection: Any, event: str, data: str) -> None:
        if event == "open":
            connection.broadcast("joined")

    [first], [member] = let_in(house, 1)
    member.broadcast("before")
    newcomer, _ = house.connect(greet, "/ws/room")

    assert newcomer.read_text() == "joined"
    assert [first.read_text(), first.read_text()] == ["before", "joined"]


def test_in_close_the_leaver_is_out_and_its_broadcast_reaches_those_who_stay(house: House) -> None:
    def leave(connection: Any, event: str, data: str) -> None:
        if event == "close":
            connection.broadcast("left")

    [stays], _ = let_in(house, 1)
    leaver, _ = house.connect(leave, "/ws/room")
    leaver.send_close()

    assert leaver.read_close() == 1000
    assert leaver.read_to_end() == b""
    assert stays.read_text() == "left"


def test_what_was_broadcast_before_close_still_reaches_the_leaver(house: House) -> None:
    [client], [connection] = let_in(house, 1)

    connection.broadcast("last words")
    connection.close(4000)

    assert client.read_text() == "last words"
    assert client.read_close() == 4000


def test_rooms_span_paths_and_are_left_at_the_end(house: House) -> None:
    [one], [inside] = let_in(house, 1, "/ws/a")
    [two], [other] = let_in(house, 1, "/ws/b")
    inside.join("lobby")
    other.join("lobby")

    inside.broadcast_to_room("lobby", "1", exclude_self=True)
    other.leave("lobby")
    other.broadcast_to_room("lobby", "2")

    assert two.read_text() == "1"
    assert one.read_text() == "2"
    inside.close()
    assert house.engine.names(GroupKind.ROOM) == []


def test_many_large_broadcasts_of_one_turn_arrive_whole(house: House) -> None:
    clients, connections = let_in(house, 3)
    text = "x" * 30_000

    def broadcast_all() -> None:
        for _ in range(30):
            connections[0].broadcast(text)

    readers = [
        gevent.spawn(lambda one=one: [one.read_text() for _ in range(30)]) for one in clients
    ]
    gevent.spawn(broadcast_all)

    for reader in readers:
        assert reader.get(timeout=5) == [text] * 30


def test_empty_groups_leave_no_trace(house: House) -> None:
    clients, _ = let_in(house, 5)
    assert house.engine.names(GroupKind.PATH) == ["/ws/room"]

    for client in clients:
        client.send_close()
        client.read_to_end()
        client.close()
    while house.process.connection_count:
        gevent.sleep(0)

    assert house.engine.names(GroupKind.PATH) == []
