"""The thermometers of examples/falcon_app in real browsers, one for each user, under gunicorn."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

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
    folder = tmp_path_factory.mktemp("falcon")
    with example("falcon_app", folder, THERMOMETERS_DATABASE=str(folder / "thermometers.sqlite")) as running:
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


def test_a_reading_shows_up_on_the_other_page(open_page):
    ada, bob = open_page(), open_page()
    place = unique("Cellar")

    for celsius in ("12.5", "11.8"):
        ada.fill("#place", place)
        ada.enter("#celsius", celsius)
        eventually(lambda celsius=celsius: reading(bob, place) == f"{celsius} °C", "Bob sees the value")

    assert ada.console_errors() == bob.console_errors() == []


def reading(page: LivePage, place: str) -> str:
    script = (
        "return [...document.querySelectorAll('#values div')]"
        ".find((one) => one.querySelector('dt').textContent === arguments[0])?.querySelector('.celsius').textContent"
    )
    return str(page.front().execute_script(script, place))


def test_markup_stays_text(open_page):
    ada, bob = open_page(), open_page()
    place = MARKUP[:40]

    ada.fill("#place", place)
    ada.enter("#celsius", "1")

    eventually(lambda: reading(bob, place) == "1.0 °C", "Bob sees it as text")
    assert bob.front().execute_script("return window.hacked") is None


def test_a_device_puts_by_the_api_and_a_bad_value_is_told(open_page, server):
    page = open_page()
    place = unique("Shed")
    cookie = "; ".join(f"{one['name']}={one['value']}" for one in page.front().get_cookies())

    statuses = [put(server, place, body, cookie) for body in ('{"celsius": 4.5}', '{"celsius": "hot"}', "[]", "no")]

    assert statuses == [204, 422, 422, 400]
    assert put(server, place, '{"celsius": 5}', "") == 401
    eventually(lambda: reading(page, place) == "4.5 °C", "the page shows the good one")


def put(server: Server, place: str, body: str, cookie: str) -> int:
    with closing(HTTPConnection(*server.address, timeout=10)) as asker:
        fields = {"Content-Type": "application/json", "Cookie": cookie}
        asker.request("PUT", f"/readings/{quote(place)}", body, fields)
        return asker.getresponse().status


def test_a_log_out_in_one_window_closes_the_sockets_of_the_others(open_page, server):
    assert_log_out_reaches_other_windows(open_page(), open_page(), server.url)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_fits_its_window(open_page, tmp_path, size, dark):
    page = open_page(size=size, dark=dark)
    page.fill("#place", "x" * 40)
    page.enter("#celsius", "21.4")
    eventually(lambda: reading(page, "x" * 40) == "21.4 °C", "the value is there")
    folder = Path(os.environ.get("EXAMPLE_SCREENSHOTS", tmp_path))

    assert_fits(page, f"falcon-{size[0]}-{'dark' if dark else 'light'}", folder)
