"""A page that comes back gets what it missed, in order, once; under every kind of server."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.support.raw import RawClient
from tests.support.site import Connect, Site, run_site

PAGES = 1_000
TAB, OTHER = "tab123456789", "other4567890"
_tags = count(1)


@pytest.fixture(scope="module")
def kept_site(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server with apps/histories.py."""
    with run_site(kind, "histories:app", tmp_path_factory.mktemp(f"kept-{kind}")) as running:
        yield running


@pytest.fixture
def connect(kept_site: Site) -> Iterator[Connect]:
    """Open a connection to a path of `kept_site`; all are closed at the end."""
    with contextlib.ExitStack() as opened:
        yield lambda path: opened.enter_context(RawClient.open(kept_site.address, path))


@pytest.fixture
def room() -> str:
    """A room that no other test uses."""
    return f"room{next(_tags)}"


def position_of(mark: str) -> str:
    """Give the position of a mark such as `#k3x9.0-42:`."""
    assert (mark[0], mark[-1]) == ("#", ":")
    return mark[1:-1]


def come(connect: Connect, room: str, position: str | None = None, me: str = TAB) -> RawClient:
    """Connect as our client does; `position` is where it was."""
    behind = "" if position is None else f".{position}"
    return connect(f"/ws/kept/{room}?tina4=1.{me}{behind}")


def read(client: RawClient, number: int) -> list[str]:
    """Read so many texts."""
    return [client.read_text() for _ in range(number)]


def told(client: RawClient) -> tuple[str, str]:
    """Read what a newcomer is told, and give the verdict of its greeting and its position."""
    greeting, answer, mark = read(client, 3)
    assert answer.startswith(":open ")
    return greeting[-2], position_of(mark)


def test_a_page_gets_what_was_said_while_it_was_away(connect: Connect, room: str) -> None:
    page, speaker = come(connect, room), connect(f"/ws/kept/{room}")
    verdict, position = told(page)
    page.reset()
    speaker.read_text()
    for text in ("one", "two"):
        speaker.send_text(text)
        assert read(speaker, 2) == [text, f"behind {text}"]

    again = come(connect, room, position)

    marked = read(again, 5)
    assert verdict == "n"
    assert [text.partition(":")[2] for text in marked] == ["", "one", "two", "open True", ""]
    assert marked[0] == f"@{TAB}.{position}.y:"


def test_a_page_that_missed_nothing_is_told_so(connect: Connect, room: str) -> None:
    _, position = told(come(connect, room))

    greeting, answer, mark = read(come(connect, room, position), 3)

    assert (greeting[-2], answer, position_of(mark)) == ("y", ":open True", position)


def test_a_page_of_another_epoch_is_told_of_a_gap(connect: Connect, room: str) -> None:
    verdicts = [told(come(connect, room, was))[0] for was in ("other.0-1", "-", "rubbish")]

    assert verdicts == ["g", "g", "g"]


def test_what_is_said_first_is_heard_first(connect: Connect, room: str) -> None:
    speaker = connect(f"/ws/kept/{room}")
    speaker.read_text()

    for number in range(50):
        speaker.send_text(str(number))

    assert read(speaker, 100) == [
        text for number in range(50) for text in (str(number), f"behind {number}")
    ]


def test_what_the_page_itself_says_is_marked_once_it_has_read_the_greeting(
    connect: Connect, room: str
) -> None:
    page = come(connect, room)
    page.send_text("early")
    told_first = read(page, 3)
    page.send_text(f"@{TAB}:")
    page.send_text(":late")

    rest = read(page, 4)

    texts = [text.partition(":")[2] for text in told_first + rest]
    assert sorted(texts) == sorted(
        ["", "", "open None", "early", "behind early", "late", "behind late"]
    )


def test_a_newcomer_gets_the_latest_messages_whatever_client_it_uses(
    connect: Connect, room: str
) -> None:
    speaker = connect(f"/ws/latest/{room}")
    for text in "abc":
        speaker.send_text(text)
        speaker.read_text()

    plain, marked = (
        connect(f"/ws/latest/{room}"),
        connect(f"/ws/latest/{room}?tina4=1.{TAB}"),
    )

    assert read(plain, 2) == ["b", "c"]
    assert [text.partition(":")[2] for text in read(marked, 4)] == ["", "b", "c", ""]


def test_a_room_that_is_joined_in_open_brings_what_was_missed_there(
    connect: Connect, room: str
) -> None:
    page, speaker = connect(f"/ws/hall/{room}?tina4=1.{TAB}"), connect(f"/ws/hall/{room}")
    position = position_of(read(page, 2)[1])
    page.reset()
    speaker.send_text("in the hall")
    speaker.read_text()

    again = read(connect(f"/ws/hall/{room}?tina4=1.{TAB}.{position}"), 3)

    assert [text.partition(":")[2] for text in again] == ["", "in the hall", ""]


def test_views_say_and_read_what_is_kept(kept_site: Site, connect: Connect, room: str) -> None:
    listener = connect(f"/ws/kept/{room}")
    listener.read_text()

    kept_site.request("POST", f"/say/{room}/1/3")

    assert read(listener, 3) == ["1", "2", "3"]
    assert json.loads(kept_site.request("GET", f"/past/{room}")[1]) == ["1", "2", "3"]


def test_a_service_that_is_killed_and_started_again_has_lost_nothing(
    kind: str, tmp_path: Path, room: str
) -> None:
    bus = {"TINA4_WS_BUS_DIR": str(tmp_path / "bus")}
    with run_site(kind, "histories:app", tmp_path, env=bus) as first:
        with RawClient.open(first.address, f"/ws/kept/{room}?tina4=1.{TAB}") as page:
            _, position = told(page)
        first.request("POST", f"/say/{room}/1/2")

    with run_site(kind, "histories:app", tmp_path, env=bus) as second:
        second.request("POST", f"/say/{room}/3/3")

        path = f"/ws/kept/{room}?tina4=1.{TAB}.{position}"
        with RawClient.open(second.address, path) as again:
            texts = read(again, 6)

    assert [text.partition(":")[2] for text in texts] == ["", "1", "2", "3", "open True", ""]


def test_a_page_never_misses_what_is_said_between_its_rendering_and_its_connecting(
    tmp_path: Path,
) -> None:
    heard = []
    with run_site("gunicorn", "histories:app", tmp_path, "-w", "2") as site:
        workers = set()
        for number in range(PAGES):
            room = f"page{number}"
            position = site.request("GET", f"/page/{room}")[1].decode()
            workers.add(site.request("POST", f"/say/{room}/1/10")[1])

            path = f"/ws/kept/{room}?tina4=1.{TAB}.{position}"
            with RawClient.open(site.address, path) as page:
                heard.append([text.partition(":")[2] for text in read(page, 13)])

    # Said by another worker in that moment, they may also come behind what was missed.
    expected = [str(number) for number in range(1, 11)]
    assert [one for one in heard if [text for text in one if text.isdigit()] != expected] == []
    assert len(workers) == 2
