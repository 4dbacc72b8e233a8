"""A client with `since` comes back as a page does: it gets what it missed, and sees no marks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tina4_wsgi import App, Connection, Router, UsageError, forget, history, position
from tina4_wsgi.testing import TestClient


class Room:
    """An app whose route keeps the last three messages of each path.

    Attributes:
        events: what the callbacks were called with, as (event, data).
        resumed: what each "open" saw.
        queries: the query fields of each "open".
    """

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self.resumed: list[bool | None] = []
        self.queries: list[dict[str, str]] = []
        router = Router()
        router.room("team:{name}", history=3)
        router.websocket("/ws/room/{name}", self.room, history=3)
        router.websocket("/ws/latest", self.room, history=1, replay=1)
        router.post("/say", self.say)
        self.app = App(router=router)

    def room(self, connection: Connection, event: str, data: str | bytes) -> None:
        self.events.append((event, data))
        match event, data:
            case "open", _:
                self.resumed.append(connection.resumed)
                self.queries.append(dict(connection.query))
                connection.join("team:a")
            case "message", "private":
                connection.send("for you")
            case "message", "typing":
                connection.broadcast("somebody types", keep=False)
            case "message", "mine":
                connection.broadcast("from another", exclude_self=True)
            case "message", "team":
                connection.broadcast_to_room("team:a", "to the team")
            case "message", _:
                connection.broadcast(data)

    def say(self, request: Any, response: Any) -> str:
        self.app.broadcast("/ws/room/a", request.body.decode())
        return "said"

    def miss(self, *messages: str) -> None:
        for message in messages:
            self.app.broadcast("/ws/room/a", message)


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def forgetful() -> Iterator[TestClient]:
    """Make a client of an app that keeps nothing."""
    router = Router()

    @router.websocket("/ws/echo")
    def echo(connection, event, data):
        if event == "message":
            connection.send(data)

    with TestClient(App(router=router)) as client:
        yield client


@pytest.fixture
def client(room: Room) -> Iterator[TestClient]:
    with TestClient(room.app) as client:
        yield client


def test_a_newcomer_sees_messages_without_marks_and_has_a_position(client):
    with client.websocket("/ws/room/a", since="") as ws:
        ws.send("hi")

        assert ws.receive_all() == ["hi"]
        assert ws.position == ws.connection.position
        assert (ws.resumed, ws.missed) == (None, False)


def test_who_was_cut_off_gets_what_it_missed_once_and_in_order(client, room):
    with client.websocket("/ws/room/a", since="") as ws:
        ws.send("seen")
        ws.cut()
        room.miss("one", "two")

        with client.websocket("/ws/room/a", since=ws.position) as back:
            assert back.receive_all() == ["one", "two"]
            assert (back.resumed, back.missed) == (True, False)
            assert room.resumed == [None, True]


def test_a_cut_line_has_no_close_frame(client, room):
    with client.websocket("/ws/room/a", since="") as ws:
        connection = ws.connection
        ws.cut()

        assert connection.close_code == 1006
        assert ws.closed_with == (1006, "")
        assert room.events[-1] == ("close", "")


def test_who_comes_back_misses_nothing_that_is_said_behind_that(client, room):
    with client.websocket("/ws/room/a", since="") as ws:
        ws.cut()
        room.miss("missed")

        with client.websocket("/ws/room/a", since=ws.position) as back:
            room.miss("live")

            assert back.receive() == "missed"
            assert back.receive() == "live"
            back.receive_nothing()


def test_the_position_moves_with_each_kept_message_and_no_other(client, room):
    with client.websocket("/ws/room/a", since="") as ws:
        before = ws.position
        ws.send("private")
        ws.send("typing")
        assert ws.position == before

        room.miss("kept")

        assert ws.position == room.app.position("/ws/room/a") != before
        assert ws.receive_all() == ["for you", "somebody types", "kept"]


def test_a_position_of_long_ago_is_a_gap(client, room):
    with client.websocket("/ws/room/a", since="") as ws:
        ws.cut()
        room.miss(*"1234")

        with client.websocket("/ws/room/a", since=ws.position) as back:
            back.receive_nothing()
            assert (back.resumed, back.missed) == (False, True)
            assert room.resumed == [None, False]


@pytest.mark.parametrize("since", ["-", "AnotherEpoch.0-7"])
def test_a_position_that_is_worth_nothing_is_a_gap(client, since):
    with client.websocket("/ws/room/a", since=since) as ws:
        assert ws.missed
        assert ws.position == ws.connection.position


def test_behind_a_gap_it_resumes_again(client, room):
    with client.websocket("/ws/room/a", since="-") as ws:
        ws.cut()
        room.miss("one")

        with client.websocket("/ws/room/a", since=ws.position) as back:
            assert back.receive_all() == ["one"]
            assert back.resumed


def test_the_position_of_a_page_brings_what_was_said_since_it_was_made(client, room):
    since = room.app.position("/ws/room/a")
    client.post("/say", data="meanwhile")

    with client.websocket("/ws/room/a", since=since) as ws:
        assert ws.receive_all() == ["meanwhile"]


def test_who_comes_back_is_the_same_client_and_does_not_get_what_was_for_others(client, room):
    with (
        client.websocket("/ws/room/a", since="") as ada,
        client.websocket("/ws/room/a", since="") as bob,
    ):
        at_first = ada.position
        ada.send("mine")
        ada.cut()
        bob.cut()
        with (
            client.websocket("/ws/room/a", since=at_first) as ada_again,
            client.websocket("/ws/room/a", since=str(bob.position)) as bob_again,
        ):
            ada_again.receive_nothing()
            bob_again.receive_nothing()
            assert bob.received == ["from another"]


def test_what_it_missed_in_a_room_comes_too(client):
    with (
        client.websocket("/ws/room/a", since="") as ada,
        client.websocket("/ws/room/b", since="") as bob,
    ):
        ada.cut()
        bob.send("team")

        with client.websocket("/ws/room/a", since=ada.position) as back:
            assert back.receive_all() == ["to the team"]


@pytest.mark.parametrize("message", ["text", ":text", "@text:", b"bytes", b"", {"a": 1}])
def test_the_callback_gets_what_was_sent_without_a_mark(client, room, message):
    with client.websocket("/ws/room/a", since="") as ws:
        ws.send(message)

        expected = '{"a":1}' if isinstance(message, dict) else message
        assert room.events == [("open", ""), ("message", expected)]
        assert ws.receive_all() == [expected]


def test_the_query_of_the_test_is_kept_and_the_callback_sees_nothing_else(client, room):
    with (
        client.websocket("/ws/room/a?x=1", since=""),
        client.websocket("/ws/room/a", query={"x": "1"}, since=""),
        client.websocket("/ws/room/a", since=""),
    ):
        assert room.queries == [{"x": "1"}, {"x": "1"}, {}]


def test_a_plain_client_sees_nothing_of_it(client):
    with client.websocket("/ws/room/a") as ws:
        ws.send("hi")

        assert ws.receive_all() == ["hi"]
        assert (ws.position, ws.resumed, ws.missed) == ("", None, False)


def test_an_app_without_history_takes_a_client_with_since_as_any_other(forgetful):
    with forgetful.websocket("/ws/echo", since="") as ws:
        ws.send("@hi:")

        assert ws.receive_all() == ["@hi:"]
        assert (ws.position, ws.resumed, ws.missed) == ("", None, False)


def test_an_app_without_history_is_a_gap_for_who_had_a_position(forgetful):
    with forgetful.websocket("/ws/echo", since="Epoch.0-7") as ws:
        ws.send("hi")

        assert ws.receive_all() == ["hi"]
        assert (ws.position, ws.resumed, ws.missed) == ("", False, True)


def test_a_newcomer_gets_what_the_route_replays(client, room):
    room.app.broadcast("/ws/latest", "old")
    room.app.broadcast("/ws/latest", "new")

    with client.websocket("/ws/latest") as plain, client.websocket("/ws/latest", since="") as ws:
        assert plain.receive_all() == ws.receive_all() == ["new"]


def test_compressed_messages_are_read_as_well(client, room):
    offer = {"Sec-WebSocket-Extensions": "permessage-deflate"}
    with client.websocket("/ws/room/a", since="", headers=offer) as ws:
        ws.send("long " * 1000)
        ws.cut()
        room.miss("longer " * 1000)

        with client.websocket("/ws/room/a", since=ws.position, headers=offer) as back:
            assert ws.received == ["long " * 1000]
            assert back.receive_all() == ["longer " * 1000]


def test_a_client_that_is_alone_begins_with_nothing_kept(room):
    with TestClient(room.app) as client, client.websocket("/ws/latest", since="") as ws:
        ws.send("of an earlier test")

    with TestClient(room.app) as client, client.websocket("/ws/latest", since=ws.position) as back:
        back.receive_nothing()
        assert back.missed


def test_clients_of_one_test_share_what_is_kept(room):
    with TestClient(room.app) as ada, TestClient(room.app) as bob:
        with ada.websocket("/ws/latest") as ws:
            ws.send("hi")

        with bob.websocket("/ws/latest") as ws:
            assert ws.receive_all() == ["hi"]


# -- what a view does with rooms


def test_a_room_is_read_and_forgotten_by_its_name(client, room):
    with client.websocket("/ws/room/a", since="") as ws:
        since = room.app.position(room="team:a")
        ws.send("team")
        assert ws.receive() == "to the team"

        kept = room.app.history(room="team:a", after=since)
        assert [one.message for one in kept] == ["to the team"]
        room.app.forget(room="team:a")
        assert room.app.history(room="team:a") == []


def test_a_path_with_the_name_of_a_room_keeps_what_it_has(client, room):
    room.miss("on the path")

    room.app.forget(room="team:a")

    assert [kept.message for kept in room.app.history("/ws/room/a")] == ["on the path"]


@pytest.mark.parametrize("read", [position, history, forget])
def test_a_room_that_was_not_declared_keeps_no_history(client, read):
    with pytest.raises(UsageError, match="room 'lobby' keeps no history"):
        read(room="lobby")


@pytest.mark.parametrize("names", [{}, {"path": "/ws/room/a", "room": "team:a"}])
def test_one_of_path_and_room_is_needed(client, room, names):
    with pytest.raises(UsageError, match="expected one of the two"):
        room.app.forget(**names)
