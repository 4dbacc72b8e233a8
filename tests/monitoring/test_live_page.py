"""The live page in a real Chromium."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

from tests.examples.browser import DESKTOP, PHONE, Page, chromium, eventually
from tests.monitoring import noting
from tests.monitoring.conftest import APPS, COOKIE, PAGE
from tests.monitoring.crowds import Chat
from tests.monitoring.test_keeping import put_file_at
from tests.support import servers
from tests.support.raw import RawClient

CROWD, PATHS = 10_000, 3_000


@pytest.fixture(scope="module")
def driver() -> Iterator[WebDriver]:
    with chromium() as driver:
        yield driver


@pytest.fixture
def open_page(driver: WebDriver) -> Iterator[Callable[[servers.Server], Page]]:
    """Open the live page of a server, logged in, in a window of its own."""
    first, pages = driver.window_handles[0], []

    def open_it(server: servers.Server) -> Page:
        page = Page(driver, "about:blank")
        pages.append(page)
        page.set_cookie(server.url, "admin", COOKIE)
        page.console_errors()  # what pages before complained about
        driver.get(f"{server.url}{PAGE}")
        eventually(lambda: page.text("#status") == "live", "the page is live")
        return page

    yield open_it
    for page in pages:
        page.front().close()
    driver.switch_to.window(first)


@pytest.fixture
def page(open_page: Callable[[servers.Server], Page], server: servers.Server) -> Page:
    return open_page(server)


def tiles(page: Page) -> dict[str, str]:
    """The big numbers by title."""
    return dict(zip(page.texts(".tile h2"), page.texts(".tile h2 + p"), strict=True))


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


def test_the_console_is_let_in_as_the_visitor_of_this_browser_and_no_further(page, server):
    field = page.front().find_element(By.ID, "console-path")
    field.send_keys("/ws/members" + Keys.ENTER)
    eventually(
        lambda: "closed: 1006, refused or broken" in page.texts("#console-log li"), "it is refused"
    )
    eventually(
        lambda: any("Authentication failed" in error for error in page.console_errors()), "by a 401"
    )

    page.set_cookie(server.url, "member", "ada")
    page.front().find_element(By.ID, "console-toggle").click()

    eventually(lambda: "← hello, ada" in page.texts("#console-log li"), "it is let in")


@pytest.mark.parametrize(
    "host", ["//elsewhere.example/ws", "\\\\elsewhere.example\\ws", "wss://elsewhere.example/ws"]
)
def test_the_console_leaves_this_server_for_no_address(page, server, host):
    page.front().execute_script("""
        const Own = WebSocket;
        window.asked = [];
        window.WebSocket = class extends Own { constructor(url) { super(url); asked.push(String(url)); } };
    """)
    page.front().find_element(By.ID, "console-path").send_keys(host + Keys.ENTER)

    eventually(
        lambda: "closed: 1006, refused or broken" in page.texts("#console-log li"),
        "there is no such route",
    )
    (asked,) = page.front().execute_script("return asked")
    assert asked.startswith(server.url.replace("http", "ws") + "/")


def test_names_and_reasons_of_strangers_stay_text(page, connect, room):
    name = f"{room}-<img src=x onerror=document.title='owned'>?&\"#%41"
    stays, goes = connect(quote(name)), connect(quote(name))
    reason = "<script>document.title='owned'</script>"
    goes.send_close(4_000, reason.encode())

    eventually(lambda: name in page.texts("#paths button.link"), "the path is shown as it is")
    eventually(lambda: reason in page.texts("#closes td"), "the reason is shown as it is")
    press(page, "#paths button.link")
    eventually(lambda: page.text("#found-title") == f"Connections on {name}", "it is opened")
    eventually(lambda: len(page.texts("#found tr")) == 1, "with its connection")
    press(page, "#found .danger")
    press(page, "#kick-cancel")
    page.front().find_element(By.ID, "console-path").send_keys(Keys.ENTER)
    eventually(lambda: page.texts("#console-log .note"), "the console joins it")
    page.front().switch_to.active_element.send_keys("<i>hello</i>" + Keys.ENTER)

    assert stays.read_text() == "<i>hello</i>"
    assert page.front().title == "Live connections"
    assert page.front().find_elements(By.CSS_SELECTOR, "main img, main script, main i") == []
    assert page.console_errors() == []


def test_the_focus_stays_where_it_is_while_rows_change(page, connect, room):
    connect(room)
    eventually(
        lambda: page.texts("#paths button.link") == [room], "the path is there, and nothing else"
    )
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


def test_a_page_of_an_app_without_history_does_not_speak_of_it(page, connect, room):
    connect(room)
    eventually(lambda: page.texts("#paths button.link"), "a summary is there")

    assert not page.front().find_element(By.ID, "history-panel").is_displayed()


@pytest.fixture
def keeping_server(tmp_path: Path) -> Iterator[servers.Server]:
    """A server that keeps history, in the folder `kept`."""
    env = {
        "ADMIN_COOKIE": COOKIE,
        "TINA4_WS_METRICS_DIR": str(tmp_path / "numbers"),
        "TINA4_WS_HISTORY_DIR": str(tmp_path / "kept"),
    }
    with servers.gunicorn("keeping:app", APPS, tmp_path / "log", env=env) as running:
        servers.wait_until_answering(running)
        yield running


def test_history_is_shown_and_why_it_is_not_kept(open_page, keeping_server, tmp_path):
    page = open_page(keeping_server)
    with RawClient.open(keeping_server.address, "/ws/kept/a?tina4=1.abcdefghijkl") as client:
        read_until(client, "#")
        client.send_text("kept")
        eventually(lambda: cells(page)[1:6] == ["1", "0", "0", "1", "0"], "its numbers are there")
        page.resize(PHONE)
        is_whole = page.front().execute_script(
            "const one = document.querySelector('#history-panel .scroll');"
            "return one.scrollWidth <= one.clientWidth"
        )
        put_file_at(tmp_path / "kept")
        client.send_text("lost")
        eventually(lambda: "is no directory" in page.text("#history-error"), "it says why")

    assert is_whole
    assert page.console_errors() == []


def read_until(client: RawClient, mark: str) -> None:
    """Read texts until one begins with a mark."""
    while not client.read_text().startswith(mark):
        pass


def cells(page: Page) -> list[str]:
    """Give what stands in the line of the worker."""
    return page.texts("#history td")


@contextlib.contextmanager
def another_server(folder: Path, port: int = 0, cookie: str = COOKIE) -> Iterator[servers.Server]:
    """One that may be killed, and started again on the port that it had."""
    env = {"ADMIN_COOKIE": cookie, "TINA4_WS_METRICS_DIR": str(folder / "numbers")}
    with servers.gunicorn(
        "watched:app", APPS, folder / f"log-{port}", port=port, env=env
    ) as running:
        servers.wait_until_answering(running)
        yield running


@pytest.mark.deadline(90)
def test_it_comes_back_when_the_server_does_unless_somebody_has_logged_out(
    driver, open_page, tmp_path
):
    with another_server(tmp_path) as first:
        port = first.address[1]
        page = open_page(first)
        first.kill()
        eventually(lambda: page.text("#status") == "connecting again", "it has noticed")
    with another_server(tmp_path, port) as second:
        eventually(lambda: page.text("#status") == "live", "it is back")
        eventually(lambda: tiles(page)["Connections"] == "0", "and shows what is there now")
        second.kill()
    with another_server(tmp_path, port, cookie="another"):
        eventually(lambda: page.text("#status") == "logged out, reload the page", "it gives up")


@pytest.mark.deadline(90)
def test_ten_thousand_who_chat_are_small_messages_and_a_small_page(page, server):
    eventually(lambda: tiles(page)["Connections"] == "0", "those of earlier tests have gone")
    noting.begin(page, f"{server.url}{PAGE}")
    heard: list[dict[str, Any]] = []

    def summaries_of_all() -> int:
        heard.extend(noting.noted(page)["heard"])
        return sum(one["connections"] == CROWD for one in heard)

    with Chat(server.address, CROWD, PATHS):
        eventually(lambda: summaries_of_all() >= 3, "three summaries of everybody", 30)
        eventually(
            lambda: tiles(page)["Messages in"] not in ("0/s", "–"), "their messages are counted"
        )
        eventually(lambda: len(page.texts("#paths tr")) == 100, "the largest paths are shown")
        noting.ask(page, "search", "room/1")
        seen = noting.noted(page)

    assert tiles(page)["Connections"] == "10K"
    assert page.text("#path-count") == "100 of 1,111"
    assert max(one["bytes"] for one in (*heard, *seen["heard"])) < 50_000
    assert seen["elements"] < 3_500
    assert page.console_errors() == []
