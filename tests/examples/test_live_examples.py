"""What the examples of all five frameworks are held to, in real browsers, one for each user, under
gunicorn.

What only one of them has is tested in a file of its own. `EXAMPLE_SCREENSHOTS=DIR` keeps pictures
of the pages.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.examples.browser import DESKTOP, PHONE, Page, eventually
from tests.support.live_examples import EXAMPLES, Example, LivePage, sees, unique

pytestmark = pytest.mark.deadline(120)

LOG_OUT_S = 40.0  # most of the apps look every five seconds; a loaded machine later
RETURN_S = 40.0  # a page waits for 15 seconds at most between two attempts
LOOKS = {
    "desktop-light": (DESKTOP, False),
    "desktop-dark": (DESKTOP, True),
    "phone-light": (PHONE, False),
    "phone-dark": (PHONE, True),
}
MARKUP = "<img src=x onerror='hacked = true'>"


@pytest.fixture(scope="module", params=EXAMPLES, ids=str)
def example(request: pytest.FixtureRequest) -> Example:
    return request.param


def test_what_one_adds_shows_up_on_the_page_of_the_other(open_page):
    ada, bob = open_page(), open_page()
    text = unique("A new one")

    ada.add(text)

    for page in (bob, ada):
        page.wait_shown(text)
    assert ada.console_errors() == bob.console_errors() == []


def test_markup_stays_text(open_page):
    ada, bob = open_page(), open_page()

    ada.add(MARKUP)

    bob.wait_shown(MARKUP)
    bob.front().refresh()
    bob.wait_live()
    bob.wait_shown(MARKUP)
    assert bob.front().execute_script("return window.hacked") is None


def test_a_log_out_in_one_window_closes_the_sockets_of_the_others(open_page, server_of_example):
    ada, bob = open_page(), open_page()
    other = Page(ada.driver, server_of_example.url)
    eventually(lambda: other.texts("#status") == ["Live"], "the other window is live")

    ada.press("Log out")

    eventually(lambda: sees(other, "Log in"), "the other window shows the form", LOG_OUT_S)
    bob.wait_live()
    text = unique("still here")
    bob.add(text)
    bob.wait_shown(text)
    other.front().close()


@pytest.mark.deadline(180)
def test_a_page_comes_back_after_a_restart_unless_its_user_was_logged_out(
    example, browsers, tmp_path
):
    with example.serve(tmp_path) as server:
        ada, bob = (
            example.page(browser, server.url, number) for number, browser in enumerate(browsers)
        )
        server.stop()
    for page in (ada, bob):
        page.wait_state("waiting")
    bob.driver.delete_all_cookies()

    with example.serve(tmp_path, server.address[1]):
        ada.wait_live(RETURN_S)
        eventually(lambda: bob.sees("Log in"), "Bob is shown the form", RETURN_S)
        bob.come_in(1)
        bob.wait_live()
        text = unique("after the restart")
        bob.add(text)
        ada.wait_shown(text)
        for page in (ada, bob):
            page.close()


def test_pages_fit_their_windows(example, open_page, tmp_path):
    folder = Path(os.environ.get("EXAMPLE_SCREENSHOTS", tmp_path))
    page = open_page()
    text = "x" * example.longest_text
    page.add(text)
    page.wait_shown(text)

    for name, (size, dark) in LOOKS.items():
        page.resize(size, dark)
        assert_fits(page, folder / f"{example}-{name}.png")

    page.press("Log out")
    eventually(lambda: page.sees("Log in"), "the form is there")
    for name, (size, dark) in LOOKS.items():
        page.resize(size, dark)
        assert_fits(page, folder / f"{example}-login-{name}.png")


def assert_fits(page: LivePage, picture: Path) -> None:
    """See that nothing is wider than the window and nothing was complained about."""
    page.screenshot(picture)

    assert page.overflow_px() == 0
    assert page.console_errors() == []
