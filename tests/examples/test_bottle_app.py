"""The poll of examples/bottle_app in real browsers, one for each user, under gunicorn."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from tests.examples.browser import DESKTOP, PHONE, chromium, eventually
from tests.examples.live_page import (
    MARKUP,
    LivePage,
    assert_fits,
    assert_log_out_reaches_other_windows,
    example,
    unique,
)
from tests.support.servers import Server

pytestmark = pytest.mark.deadline(60)

OpenPage = Callable[..., LivePage]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("bottle")
    with example("bottle_app", folder, POLL_DATABASE=str(folder / "poll.sqlite")) as running:
        yield running


@pytest.fixture(scope="module")
def browsers() -> Iterator[tuple[WebDriver, WebDriver]]:
    """Two browsers, since one has one set of cookies."""
    with chromium() as first, chromium() as second:
        yield first, second


@pytest.fixture
def open_page(browsers: tuple[WebDriver, WebDriver], server: Server) -> Iterator[OpenPage]:
    """Open the page as a new user, the first in one browser, the second in the other."""
    opened: list[LivePage] = []

    def open_one(**look: object) -> LivePage:
        opened.append(LivePage(browsers[len(opened)], server.url, **look))
        return opened[-1]

    yield open_one
    for page in opened:
        page.close()


def test_a_vote_moves_the_bars_on_the_other_page(open_page):
    ada, bob = open_page(), open_page()
    choice = unique("The canteen")

    ada.enter("#text", choice)
    eventually(lambda: choice in bob.texts("#choices .text"), "Bob sees the choice")
    for page in (ada, bob):
        vote(page, choice)

    for page in (ada, bob):
        eventually(lambda page=page: voters(page, choice) == [ada.name, bob.name], "both see both votes")
    vote(bob, "Pizza")
    eventually(lambda: voters(ada, choice) == [ada.name], "Ada sees that Bob has changed his mind")
    assert ada.console_errors() == bob.console_errors() == []


def vote(page: LivePage, choice: str) -> None:
    script = "[...document.querySelectorAll('#choices button')].find((one) => one.value === arguments[0]).click()"
    page.front().execute_script(script, choice)


def voters(page: LivePage, choice: str) -> list[str]:
    script = (
        "return [...document.querySelectorAll('#choices button')].find((one) => one.value === arguments[0])"
        ".querySelector('.who').textContent"
    )
    return str(page.front().execute_script(script, choice)).split(", ")


def test_markup_stays_text(open_page):
    ada, bob = open_page(), open_page()

    ada.enter("#text", MARKUP)

    eventually(lambda: MARKUP in bob.texts("#choices .text"), "Bob sees it as text")
    bob.front().refresh()
    bob.wait_live()
    assert MARKUP in bob.texts("#choices .text")
    assert bob.front().execute_script("return window.hacked") is None


def test_a_log_out_in_one_window_closes_the_sockets_of_the_others(open_page, server):
    assert_log_out_reaches_other_windows(open_page(), open_page(), server.url)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_fits_its_window(open_page, tmp_path, size, dark):
    page = open_page(size=size, dark=dark)
    page.enter("#text", "x" * 60)
    vote(page, "The Thai place")
    eventually(lambda: page.name in voters(page, "The Thai place"), "the vote is there")
    folder = Path(os.environ.get("EXAMPLE_SCREENSHOTS", tmp_path))

    assert_fits(page, f"bottle-{size[0]}-{'dark' if dark else 'light'}", folder)
