"""The help desk of examples/pyramid_app in real browsers, one for each user, under gunicorn."""

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
    folder = tmp_path_factory.mktemp("pyramid")
    with example("pyramid_app", folder, DESK_DATABASE=f"sqlite:///{folder / 'desk.sqlite'}") as running:
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


def test_the_first_account_is_the_agents_and_everybody_sees_what_happens(open_page):
    agent, user = open_page(), open_page()
    text = unique("The printer is on fire")

    user.enter("#text", text)
    eventually(lambda: text in agent.texts("#tickets .text"), "the agent sees the ticket")
    assert not user.sees("Solved")
    agent.press("Solved")

    eventually(lambda: text in user.texts("#tickets .solved .text"), "the user sees that it is solved")
    assert f"{user.name} · solved by {agent.name}" in user.texts("#tickets .who")
    assert agent.console_errors() == user.console_errors() == []


def test_markup_stays_text(open_page):
    ada, bob = open_page(), open_page()

    ada.enter("#text", MARKUP)

    eventually(lambda: MARKUP in bob.texts("#tickets .text"), "Bob sees it as text")
    bob.front().refresh()
    bob.wait_live()
    assert MARKUP in bob.texts("#tickets .text")
    assert bob.front().execute_script("return window.hacked") is None


def test_a_log_out_in_one_window_closes_the_sockets_of_the_others(open_page, server):
    assert_log_out_reaches_other_windows(open_page(), open_page(), server.url)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_fits_its_window(open_page, tmp_path, size, dark):
    page = open_page(size=size, dark=dark)
    page.enter("#text", "x" * 150)
    eventually(lambda: "x" * 150 in page.texts("#tickets .text"), "the ticket is there")
    folder = Path(os.environ.get("EXAMPLE_SCREENSHOTS", tmp_path))

    assert_fits(page, f"pyramid-{size[0]}-{'dark' if dark else 'light'}", folder)
