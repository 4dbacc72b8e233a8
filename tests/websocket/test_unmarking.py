"""What a client says, before and behind the mark that says it has read the greeting."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.kept_house import ME, OTHER, Page, Worker, Workers
from tests.support.raw import BINARY, TEXT, client_frame
from tina4_wsgi.websocket import unmarking
from tina4_wsgi.websocket.connection import lifecycle_of
from tina4_wsgi.websocket.served_route import ServedRoute

CHAT = "/ws/chat/a"


@pytest.fixture
def heard() -> list[Any]:
    return []


@pytest.fixture
def worker(workers: Workers, heard: list[Any]) -> Worker:
    def write_down(connection: Any, event: str, data: Any) -> None:
        if event == "message":
            heard.append(data)
            connection.send(f"{len(heard)}")

    workers.route("/ws/chat/{room}", write_down, history=20)
    workers.route("/ws/notes", write_down)
    return workers.start()[0]


@pytest.fixture
def page(worker: Worker) -> Page:
    page, _, _ = worker.come(CHAT)
    return page


def answered(page: Page, count: int) -> None:
    """Wait until so many messages have been answered."""
    assert page.read_to(f"{count}") is not None


def test_before_the_mark_messages_come_as_they_are(page: Page, heard: list[Any]) -> None:
    for text in ("plain", ":colon", "", f"@{OTHER}:"):
        page.raw.send_text(text)
    page.raw.send_frame(BINARY, b":bytes")
    answered(page, 5)

    assert heard == ["plain", ":colon", "", f"@{OTHER}:", b":bytes"]


def test_the_mark_itself_is_no_message(page: Page, heard: list[Any]) -> None:
    page.raw.send_text(f"@{ME}:")
    page.raw.send_text(":a")
    answered(page, 1)

    assert heard == ["a"]


def test_the_mark_itself_does_not_count(page: Page) -> None:
    page.raw.send_text("before")
    page.raw.send_text(f"@{ME}:")
    page.raw.send_text(":a")
    page.raw.send_text(f":@{ME}:")
    answered(page, 3)

    assert lifecycle_of(page.connection).message_count == 3


def test_the_mark_does_not_count_for_a_moment_either(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    with_marks = unmarking.with_marks

    def with_a_look(service: ServedRoute) -> ServedRoute:
        twin = with_marks(service)
        callback = twin.callback

        def look(connection: Any, event: Any, data: Any) -> object:
            counts.append(lifecycle_of(connection).message_count)
            return callback(connection, event, data)

        twin.callback = look
        return twin

    monkeypatch.setattr(unmarking, "with_marks", with_a_look)
    page, _, _ = worker.come(CHAT)
    page.raw.send_text(f"@{ME}:")
    page.raw.send_text(":a")
    answered(page, 1)

    assert counts == [0, 0, 1]  # of "open", of the mark, and of the message


def test_behind_it_one_byte_is_taken_off_each_message(page: Page, heard: list[Any]) -> None:
    page.raw.send_text(f"@{ME}:")
    for text in (":a", "::b", ":", f":@{ME}:", ":ä☃"):
        page.raw.send_text(text)
    page.raw.send_frame(BINARY, b":\x00\xff")
    page.raw.send_frame(BINARY, b":")
    answered(page, 7)

    assert heard == ["a", ":b", "", f"@{ME}:", "ä☃", b"\x00\xff", b""]


@pytest.mark.parametrize(
    ("opcode", "payload"),
    [(TEXT, b"a"), (TEXT, b""), (TEXT, b"@x:"), (BINARY, b"a"), (BINARY, b""), (TEXT, b" :")],
)
def test_behind_it_a_message_without_a_mark_closes_the_connection(
    page: Page, heard: list[Any], opcode: int, payload: bytes
) -> None:
    page.raw.send_text(f"@{ME}:")
    page.raw.send_frame(opcode, payload)
    page.raw.send_text(":late")

    assert page.raw.read_close() == 1008
    assert heard == []


def test_the_mark_may_arrive_with_messages_on_both_sides_of_it(
    worker: Worker, heard: list[Any]
) -> None:
    early = b"".join(client_frame(TEXT, text) for text in (b"early", f"@{ME}:".encode(), b":late"))
    page = worker.let_in(CHAT, ME, early=early)
    answered(page, 2)

    assert heard == ["early", "late"]


def test_a_binary_mark_is_a_message_of_before(page: Page, heard: list[Any]) -> None:
    page.raw.send_frame(BINARY, f"@{ME}:".encode())
    answered(page, 1)

    assert heard == [f"@{ME}:".encode()]


def test_a_plain_client_may_say_what_looks_like_marks(worker: Worker, heard: list[Any]) -> None:
    for path in (CHAT, "/ws/notes"):
        heard.clear()
        page = worker.let_in(path)
        for text in (f"@{ME}:", ":a", "b"):
            page.raw.send_text(text)
        assert page.read(3) == ["1", "2", "3"]

        assert heard == [f"@{ME}:", ":a", "b"]


def test_a_client_that_marks_is_plain_where_nothing_is_kept(
    worker: Worker, heard: list[Any]
) -> None:
    page = worker.let_in("/ws/notes", ME)
    page.raw.send_text(":a")

    assert page.read() == ["1"]
    assert heard == [":a"]


def test_messages_count_for_the_route_whoever_says_them(worker: Worker, page: Page) -> None:
    plain = worker.let_in(CHAT)
    plain.raw.send_text("a")
    plain.read()
    page.raw.send_text(f"@{ME}:")
    page.raw.send_text(":b")
    answered(page, 2)

    assert page.connection._lifecycle.service.tally is plain.connection._lifecycle.service.tally
    assert page.connection.route == plain.connection.route == "/ws/chat/{room}"
