"""Every example of the chapter, to the letter: what goes over the wire, under each server."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from itertools import count
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.raw import RawClient
from tests.support.servers import Server

ISO_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
CLOCK = re.compile(r"\d\d:\d\d:\d\d")

Connect = Callable[[str], RawClient]
_numbers = count(1)


@pytest.fixture
def connect(server: Server) -> Iterator[Connect]:
    """Open a connection to a path; all say goodbye at the end, so that the next test doesn't hear
    of it.
    """
    clients: list[RawClient] = []

    def connect(path: str) -> RawClient:
        clients.append(RawClient.open(server.address, path))
        return clients[-1]

    yield connect
    for client in clients:
        with contextlib.suppress(OSError):  # the test has ended it already
            client.send_close()
            client.read_to_end()
        client.close()


@pytest.fixture
def room() -> str:
    """A room that no other test is in."""
    return f"room-{next(_numbers)}"


def ask(client: RawClient, **message: Any) -> None:
    client.send_text(json.dumps(message))


def answer(client: RawClient) -> Any:
    return json.loads(client.read_text())


def skip(client: RawClient, messages: int) -> None:
    for _ in range(messages):
        client.read_text()


def assert_now(timestamp: str) -> None:
    assert ISO_INSTANT.fullmatch(timestamp)
    age = datetime.now(timezone.utc) - datetime.fromisoformat(timestamp.replace("Z", "+00:00"))
    assert timedelta(0) <= age + timedelta(milliseconds=1) < timedelta(minutes=1)


@pytest.mark.parametrize("text", ["hello", "", "smörgås 🙂", '{"type": "chat"}'])
def test_echo_sends_the_text_back(connect: Connect, text: str) -> None:
    client = connect("/ws/echo")

    client.send_text(text)

    assert client.read_text() == f"Echo: {text}"


def test_chat_welcomes_the_newcomer_with_its_id(connect: Connect) -> None:
    welcome = answer(connect("/ws/chat"))

    assert list(welcome) == ["type", "message", "your_id"]
    assert welcome["type"] == "system"
    assert welcome["message"] == "Welcome to the chat!"
    assert len(welcome["your_id"]) >= 16


def test_chat_passes_a_message_on_to_everybody(connect: Connect) -> None:
    ada, grace = connect("/ws/chat"), connect("/ws/chat")
    ada_id = answer(ada)["your_id"]
    skip(grace, 1)

    ask(ada, text="hello")

    heard = answer(grace)
    assert list(heard) == ["type", "from", "text", "timestamp"]
    assert_now(heard.pop("timestamp"))
    assert heard == {"type": "message", "from": ada_id, "text": "hello"}
    assert answer(ada)["from"] == ada_id


def test_chat_passes_on_json_without_a_text_as_it_came(connect: Connect) -> None:
    client = connect("/ws/chat")
    skip(client, 1)

    client.send_text('{"mood": "good"}')

    assert answer(client)["text"] == '{"mood": "good"}'


def test_announcements_tell_who_comes_and_goes(connect: Connect) -> None:
    stays = connect("/ws/announcements")
    joined = stays.read_text()
    leaver = connect("/ws/announcements")
    skip(stays, 1)

    leaver.send_close()

    assert joined == '{"type": "system", "message": "A new user joined"}'
    assert stays.read_text() == '{"type": "system", "message": "A user left"}'


def test_announcement_reaches_everybody_its_sender_too(connect: Connect) -> None:
    first = connect("/ws/announcements")
    skip(first, 1)
    second = connect("/ws/announcements")
    skip(first, 1)
    skip(second, 1)

    ask(first, text="Server restarting")

    heard = answer(second)
    assert list(heard) == ["type", "from", "text", "timestamp"]
    assert (heard["type"], heard["text"]) == ("announcement", "Server restarting")
    assert_now(heard["timestamp"])
    assert answer(first) == heard


def test_announcement_without_a_text_is_an_empty_one(connect: Connect) -> None:
    client = connect("/ws/announcements")
    skip(client, 1)

    ask(client, mood="good")

    assert answer(client)["text"] == ""


def test_scoped_room_names_itself_in_each_message(connect: Connect, room: str) -> None:
    client = connect(f"/ws/chat/{room}")
    joined = client.read_text()

    ask(client, username="Ada", text="hello")

    said = answer(client)
    assert joined == json.dumps({"type": "system", "message": f"Someone joined room {room}"})
    assert list(said) == ["type", "room", "from", "text", "timestamp"]
    assert_now(said.pop("timestamp"))
    assert said == {"type": "message", "room": room, "from": "Ada", "text": "hello"}


def test_scoped_room_calls_the_nameless_anonymous(connect: Connect, room: str) -> None:
    client = connect(f"/ws/chat/{room}")
    skip(client, 1)

    ask(client)

    assert {**answer(client), "timestamp": ""} == {
        "type": "message",
        "room": room,
        "from": "Anonymous",
        "text": "",
        "timestamp": "",
    }


def test_scoped_room_tells_who_leaves(connect: Connect, room: str) -> None:
    stays, leaver = connect(f"/ws/chat/{room}"), connect(f"/ws/chat/{room}")
    skip(stays, 2)

    leaver.send_close()

    assert stays.read_text() == json.dumps(
        {"type": "system", "message": f"Someone left room {room}"}
    )


@pytest.mark.parametrize("prefix", ["/ws/chat", "/ws/livechat", "/ws/room"])
def test_rooms_are_walls(connect: Connect, room: str, prefix: str) -> None:
    here, there = connect(f"{prefix}/{room}"), connect(f"{prefix}/{room}-other")
    for client in (here, there):
        client.read_text()
        if prefix == "/ws/room":
            client.read_text()  # its own "A new user joined"

    ask(there, type="message" if prefix != "/ws/room" else "chat", text="secret")
    assert answer(there)["text"] == "secret"
    ask(here, type="message" if prefix != "/ws/room" else "chat", text="open")

    assert answer(here)["text"] == "open"


def test_live_chat_welcomes_with_room_and_id(connect: Connect, room: str) -> None:
    welcome = answer(connect(f"/ws/livechat/{room}"))

    assert list(welcome) == ["type", "message", "your_id"]
    assert welcome["type"] == "welcome"
    assert welcome["message"] == f"Connected to room: {room}"
    assert len(welcome["your_id"]) >= 16


def test_live_chat_announces_a_new_name_and_uses_it(connect: Connect, room: str) -> None:
    client = connect(f"/ws/livechat/{room}")
    skip(client, 1)

    ask(client, type="set-username", username="Ada")
    ask(client, text="hello")  # without a type it is a message

    assert client.read_text() == '{"type": "system", "message": "Anonymous is now known as Ada"}'
    said = answer(client)
    assert list(said) == ["type", "from", "text", "timestamp"]
    assert_now(said.pop("timestamp"))
    assert said == {"type": "message", "from": "Ada", "text": "hello"}


def test_live_chat_tells_who_is_typing(connect: Connect, room: str) -> None:
    typist, reader = connect(f"/ws/livechat/{room}"), connect(f"/ws/livechat/{room}")
    skip(typist, 1)
    skip(reader, 1)

    ask(typist, type="typing")

    assert reader.read_text() == '{"type": "typing", "username": "Anonymous"}'


def test_live_chat_tells_by_name_who_left(connect: Connect, room: str) -> None:
    stays, leaver = connect(f"/ws/livechat/{room}"), connect(f"/ws/livechat/{room}")
    skip(stays, 1)
    ask(leaver, type="set-username", username="Ada")
    skip(stays, 1)

    leaver.reset()

    assert stays.read_text() == '{"type": "system", "message": "Ada left the chat"}'


def test_right_token_is_welcomed_by_name(connect: Connect) -> None:
    client = connect("/ws/private?token=ada-7148")

    welcome = client.read_text()
    ask(client, text="a note")

    assert welcome == '{"type": "system", "message": "Welcome, Ada"}'
    assert client.read_text() == '{"type": "message", "from": "Ada", "text": "a note"}'


@pytest.mark.parametrize("query", ["", "?token=", "?token=wrong", "?token=%FF", "?TOKEN=ada-7148"])
def test_anything_but_a_known_token_is_closed_with_4401(connect: Connect, query: str) -> None:
    client = connect(f"/ws/private{query}")

    frame = client.read_frame()

    assert frame.close_code == 4401
    assert frame.payload[2:] == b"a valid token is needed"


def test_chat_room_welcomes_the_newcomer_then_tells_everybody(connect: Connect) -> None:
    first = connect("/ws/room/general")

    assert first.read_text() == '{"type": "system", "message": "Welcome to room: general"}'
    assert first.read_text() == '{"type": "system", "message": "A new user joined"}'

    second = connect("/ws/room/general")
    assert second.read_text() == '{"type": "system", "message": "Welcome to room: general"}'
    assert first.read_text() == '{"type": "system", "message": "A new user joined"}'


def test_chat_room_announces_a_new_name_and_uses_it(connect: Connect, room: str) -> None:
    ada, grace = connect(f"/ws/room/{room}"), connect(f"/ws/room/{room}")
    skip(ada, 3)
    skip(grace, 2)

    ask(ada, type="set-name", name="Ada")
    ask(ada, type="chat", text="hello")

    assert (
        grace.read_text() == '{"type": "system", "message": "Anonymous changed their name to Ada"}'
    )
    said = answer(grace)
    assert list(said) == ["type", "from", "text", "timestamp"]
    assert CLOCK.fullmatch(said.pop("timestamp"))
    assert said == {"type": "chat", "from": "Ada", "text": "hello"}
    skip(ada, 1)
    assert answer(ada)["text"] == "hello"


@pytest.mark.parametrize("message", [{}, {"name": None}])
def test_chat_room_calls_a_missing_name_anonymous(
    connect: Connect, room: str, message: dict[str, Any]
) -> None:
    client = connect(f"/ws/room/{room}")
    skip(client, 2)

    ask(client, type="set-name", **message)

    assert answer(client)["message"] == "Anonymous changed their name to Anonymous"


def test_chat_room_tells_by_name_who_left(connect: Connect, room: str) -> None:
    stays, leaver = connect(f"/ws/room/{room}"), connect(f"/ws/room/{room}")
    skip(stays, 3)
    ask(leaver, type="set-name", name="Ada")
    skip(stays, 1)

    leaver.send_close()

    assert stays.read_text() == '{"type": "system", "message": "Ada left the room"}'


def test_room_name_may_hold_any_character_but_a_slash(connect: Connect) -> None:
    name = 'käse & <b>"Brot" 50% #1?'

    client = connect(f"/ws/room/{quote(name)}")

    assert answer(client)["message"] == f"Welcome to room: {name}"


def test_malformed_json_harms_nobody_and_is_logged_once(server: Server, connect: Connect) -> None:
    sender, other = connect("/ws/chat"), connect("/ws/chat")
    sender_id = answer(sender)["your_id"]
    skip(other, 1)
    tracebacks_before = server.log.count("Traceback")

    sender.send_text("{not json")
    ask(sender, text="still here")

    assert answer(other)["text"] == "still here"
    assert answer(sender)["text"] == "still here"
    assert server.log.count("Traceback") == tracebacks_before + 1
    server.wait_for_log(
        rf"/ws/chat\b[^\n]*{re.escape(sender_id)}|{re.escape(sender_id)}[^\n]*/ws/chat\b"
    )
