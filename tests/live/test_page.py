"""The live page in a real Chromium."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

from tests.examples.browser import DESKTOP, PHONE, Page, chromium, eventually
from tests.live.conftest import COOKIE, PAGE
from tests.support import servers
from tests.support.crowd import Crowd

CROWD = 1_000


@pytest.fixture(scope="module")
def driver() -> Iterator[WebDriver]:
    with chromium() as driver:
        yield driver


@pytest.fixture
def page(driver: WebDriver, server: servers.Server) -> Iterator[Page]:
    first = driver.window_handles[0]
    page = Page(driver, f"{server.url}/nothing")
    driver.add_cookie({"name": "admin", "value": COOKIE})
    page.console_errors()  # of the page that isn't there
    driver.get(f"{server.url}{PAGE}")
    eventually(lambda: page.text("#status") == "live", "the page is live")
    yield page
    page.front().close()
    driver.switch_to.window(first)


def tiles(page: Page) -> dict[str, str]:
    """The big numbers by title."""
    return dict(zip(page.texts(".tile h2"), page.texts(".tile p"), strict=True))


def press(page: Page, selector: str) -> None:
    page.front().find_element(By.CSS_SELECTOR, selector).send_keys(Keys.ENTER)


def test_it_shows_who_comes_and_goes(page, connect, room):
    client = connect(room)
    eventually(lambda: page.texts("#paths button.link") == [room], "the path is there")
    eventually(lambda: tiles(page)["Connections"] == "1", "one connection")

    client.send_close(4_000, b"enough")

    eventually(lambda: not page.texts("#paths button.link"), "the path is gone")
    eventually(lambda: "enough" in page.texts("#closes td"), "the close is there")
    assert page.console_errors() == []


def test_the_charts_move(page):
    def points() -> int:
        edge = page.front().find_element(By.CSS_SELECTOR, ".tile .edge")
        return str(edge.get_attribute("d")).count(",")

    before = points()

    eventually(lambda: points() > before + 1, "two more seconds")


def test_one_is_kicked_by_keyboard_alone(page, connect, room):
    client = connect(room)
    eventually(lambda: page.texts("#paths button.link"), "the path is there")

    page.front().find_element(By.TAG_NAME, "body").send_keys("/")
    page.front().switch_to.active_element.send_keys(room)
    eventually(lambda: len(page.texts("#found tr")) == 1, "the search finds it")
    press(page, "#found .danger")
    page.front().switch_to.active_element.send_keys("go away" + Keys.ENTER)

    frame = client.read_frame()
    assert (frame.close_code, frame.payload[2:]) == (1008, b"go away")
    eventually(lambda: page.text("#notice") == "1 closed", "it says so")


def test_the_console_joins_and_sends(page, connect, room):
    client = connect(room)
    page.front().find_element(By.ID, "console-path").send_keys(room + Keys.ENTER)
    eventually(lambda: page.text("#console-state") == f"on {room}", "it has joined")

    page.front().switch_to.active_element.send_keys("hello <b>there</b>" + Keys.ENTER)

    assert client.read_text() == "hello <b>there</b>"
    eventually(lambda: "← hello <b>there</b>" in page.texts("#console-log li"), "it hears itself")


def test_the_focus_stays_where_it_is_while_rows_change(page, connect, room):
    connect(room)
    eventually(lambda: page.texts("#paths button.link") == [room], "the path is there, and nothing else")
    page.front().execute_script("document.querySelector('#paths button.link').focus()")

    connect(f"{room}-b"), connect(f"{room}-b")

    eventually(lambda: len(page.texts("#paths button.link")) == 2, "the other path is there")
    assert page.front().switch_to.active_element.text == room


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_nothing_is_cut_off(page, connect, room, size):
    connect(room + "-with-a-long-name" * 8)
    page.resize(size)

    eventually(lambda: page.texts("#paths button.link"), "the path is there")
    assert page.overflow_px() == 0


def test_it_comes_back_when_the_server_does(page, server):
    page.front().execute_script("""
        const close = WebSocket.prototype.close, send = WebSocket.prototype.send;
        document.getElementById("search").value = "x";
        WebSocket.prototype.send = function (data) { this.close(); };
        document.getElementById("search").dispatchEvent(new Event("input"));
        setTimeout(() => { WebSocket.prototype.send = send; }, 400);
    """)

    eventually(lambda: page.text("#status") == "connecting again", "it has noticed")
    eventually(lambda: page.text("#status") == "live", "it is back")


@contextlib.contextmanager
def chatting(server: servers.Server) -> Iterator[Callable[[], int]]:
    """A thousand who chat, in a thread of their own; gives what counts their messages."""
    is_over, has_come = threading.Event(), threading.Event()

    def chat() -> None:
        with Crowd(server.address) as crowd:
            for number in range(CROWD):
                crowd.join(f"/ws/room/{number % 200}")
            crowd.wait_until_open()
            has_come.set()
            while not is_over.is_set():
                crowd.members[crowd.frame_count % CROWD].send_text("hello")
                until = time.monotonic() + 0.02
                crowd.listen_until(lambda until=until: time.monotonic() > until, "a moment")

    thread = threading.Thread(target=chat)
    thread.start()
    try:
        assert has_come.wait(20)
        yield lambda: CROWD
    finally:
        is_over.set()
        thread.join()


@pytest.mark.deadline(60)
def test_it_stays_quick_while_a_thousand_chat(page, server):
    with chatting(server):
        eventually(lambda: tiles(page)["Connections"] == "1,000", "all are shown")

        eventually(lambda: tiles(page)["Messages in"] not in ("0/s", "–"), "their messages are counted")
        rows = len(page.texts("#paths tr"))
        # How long the page's own thread was held up, at most, by half a dozen summaries.
        slowest_ms = page.front().execute_async_script("""
            const done = arguments[0], gaps = [];
            let last = performance.now();
            const timer = setInterval(() => {
              gaps.push(performance.now() - last); last = performance.now();
            }, 10);
            const middle = () => gaps.sort((a, b) => a - b)[Math.floor(gaps.length / 2)];
            setTimeout(() => { clearInterval(timer); done(middle()); }, 3000);
        """)

    assert rows == 100
    assert slowest_ms < 1_000
    assert page.console_errors() == []
