"""The examples of docs/tutorial.md, put where the page says, do what the page says."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import servers
from tests.support.command import launched
from tests.support.markdown import blocks_of
from tests.support.raw import RawClient

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "tutorial.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tutorial")
    for block in blocks_of(PAGE):
        if block.mark == "file":
            (made / block.value).parent.mkdir(parents=True, exist_ok=True)
            (made / block.value).write_text(block.text)
    return made


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[servers.Server]:
    with servers.own(None, folder, folder / "log", env={"PYTHONPATH": str(ROOT)}) as running:
        yield running


@contextlib.contextmanager
def clients(server: servers.Server, *paths: str) -> Iterator[list[RawClient]]:
    """Open these paths, one after the other."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(RawClient.open(server.address, path)) for path in paths]


def read(client: RawClient) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(client.read_text())
    return found


def say(client: RawClient, **message: str) -> None:
    client.send_text(json.dumps(message))


def test_the_server_prints_what_the_page_shows(folder):
    (shown,) = [block.text for block in blocks_of(PAGE) if block.language == "console"]
    command, *lines = shown.splitlines()
    assert command == "$ tina4-wsgi serve --reload"

    with launched(folder, "--reload", "--port", "0", banner_lines=len(lines)) as (_, banner):
        assert [re.sub(r":\d+$", ":7148", line) for line in banner] == lines


def test_the_echo_answers_its_sender(server):
    with clients(server, "/ws/echo") as (client,):
        client.send_text("hi")

        assert client.read_text() == "Echo: hi"


def test_the_chat_welcomes_tells_everybody_and_notes_who_leaves(server):
    with clients(server, "/ws/chat", "/ws/chat") as (ada, bob):
        ada_id, bob_id = read(ada)["your_id"], read(bob)["your_id"]
        say(ada, text="hello")

        heard = read(bob)
        assert (heard["from"], heard["text"], heard["type"]) == (ada_id, "hello", "message")
        assert read(ada) == heard
        bob.send_close()
        server.wait_for_log(f"Disconnected: {bob_id}, code 1000")


def test_a_message_that_is_no_json_is_logged_and_the_chat_goes_on(server):
    with clients(server, "/ws/chat") as (ada,):
        read(ada)
        ada.send_text("not JSON")
        say(ada, text="still here")

        assert read(ada)["text"] == "still here"


def test_the_three_methods_of_a_connection(server):
    with clients(server, "/ws/control", "/ws/control") as (ada, bob):
        ada.send_text("ping")
        assert read(ada)["type"] == "pong"
        ada.send_text("restart")
        assert read(ada) == read(bob) == {"type": "announcement", "text": "Server restarting"}
        ada.send_text("kick")

        assert ada.read_frame().close_code == 4000


def test_announcements_reach_everybody_from_a_page_too(server):
    with clients(server, "/ws/announcements") as (ada,):
        assert read(ada)["message"] == "A new user joined"
        with clients(server, "/ws/announcements") as (bob,):
            assert read(ada)["message"] == read(bob)["message"] == "A new user joined"
            say(bob, text="lunch")
            assert read(ada)["text"] == "lunch"
        assert read(ada)["message"] == "A user left"

        asker = http.client.HTTPConnection(*server.address, timeout=10)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        asker.request("POST", "/announce", "text=tea", form)
        answer = json.load(asker.getresponse())
        asker.close()

        assert (answer, read(ada)["text"]) == ({"announced": "tea"}, "tea")


def test_rooms_are_walls(server):
    with clients(server, "/ws/chat/general", "/ws/chat/dev-team") as (ada, eve):
        assert read(ada)["message"] == "Someone joined room general"
        assert read(eve)["message"] == "Someone joined room dev-team"
        say(ada, username="Ada", text="hi")
        assert (lambda heard: (heard["room"], heard["from"]))(read(ada)) == ("general", "Ada")
        say(eve, text="hello")

        assert read(eve)["text"] == "hello"


def test_the_live_chat_knows_names_and_who_types(server):
    with clients(server, "/ws/livechat/x", "/ws/livechat/x") as (ada, bob):
        assert read(ada)["message"] == read(bob)["message"] == "Connected to room: x"
        say(ada, type="set-username", username="Ada")
        assert (
            read(ada) == read(bob) == {"type": "system", "message": "Anonymous is now known as Ada"}
        )
        say(ada, type="typing")
        say(ada, text="hello")

        assert read(bob) == {"type": "typing", "username": "Ada"}
        assert read(bob)["from"] == read(ada)["from"] == "Ada"
        ada.send_close()
        assert read(bob)["message"] == "Ada left the chat"


def test_the_solution_does_what_the_exercise_asks_for(server):
    with clients(server, "/ws/room/general") as (ada,):
        assert read(ada)["message"] == "Welcome to room: general"
        assert read(ada)["message"] == "A new user joined"
        say(ada, type="set-name", name="Ada")
        assert read(ada)["message"] == "Anonymous changed their name to Ada"
        with clients(server, "/ws/room/general") as (bob,):
            read(ada), read(bob), read(bob)
            say(ada, type="chat", text="hello")
            assert read(bob)["from"] == read(ada)["from"] == "Ada"
        assert read(ada)["message"] == "Anonymous left the room"


def test_the_page_of_the_solution_names_its_room_as_text(server):
    with urllib.request.urlopen(f"{server.url}/room/%3Cb%3E", timeout=10) as answer:
        page = answer.read().decode()

    assert "<h1>&lt;b&gt;</h1>" in page


def test_a_token_is_asked_for_in_open(server):
    with clients(server, "/ws/private?token=ada-7148", "/ws/private") as (ada, eve):
        assert ada.read_text() == "Welcome, Ada"
        assert eve.read_frame().close_code == 4401


def test_a_session_is_asked_for_before_the_101(server):
    with RawClient.open(server.address, "/ws/members", [("Cookie", "session=s3cret")]) as ada:
        assert ada.read_text() == "Welcome, Ada"
    with RawClient.dial(server.address) as eve:
        assert eve.ask_upgrade("/ws/members", "AAAAAAAAAAAAAAAAAAAAAA==").status == 401


def test_every_section_of_the_chapter_is_there():
    titles = [line for line in PAGE.read_text().splitlines() if line.startswith("## ")]

    assert [int(title.split()[1].rstrip(".")) for title in titles] == list(range(1, 13))
