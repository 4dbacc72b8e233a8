"""A new project in a real Chromium: a chat in two windows that follows what is changed in its
files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

from tests.examples.browser import PHONE, Page, chromium, eventually
from tests.support.command import run, serving
from tests.support.servers import Server

pytestmark = pytest.mark.deadline(90)

Opened = tuple[Server, Path, Page, Page]


@pytest.fixture(scope="module")
def driver() -> Iterator[WebDriver]:
    with chromium() as started:
        yield started


@pytest.fixture
def opened(driver: WebDriver, tmp_path: Path) -> Iterator[Opened]:
    """The project as `init` makes it, served with --reload, its server, and a room in two
    windows.
    """
    assert run(tmp_path, "init", "chat").returncode == 0
    folder = tmp_path / "chat"
    first = driver.current_window_handle
    with serving(folder, None, "--reload") as server:
        pages = [Page(driver, f"{server.url}/room/general") for _ in range(2)]
        for page in pages:
            wait_open(page)
        yield server, folder, pages[0], pages[1]
        for page in pages:
            page.front().close()
        driver.switch_to.window(first)


def wait_open(page: Page) -> None:
    eventually(lambda: page.texts("#state") == ["open"], "the page is connected")


def say(page: Page, text: str) -> None:
    page.front().find_element("id", "text").send_keys(text + Keys.ENTER)


def wait_said(page: Page, text: str) -> None:
    eventually(
        lambda: any(line.endswith(f": {text}") for line in page.texts("#log .message")),
        f"{text!r} is shown",
    )


def mark(page: Page) -> None:
    """Leave something in the window that is gone when the page is loaded again."""
    page.front().execute_script("window.isOld = true")


def wait_loaded_again(page: Page) -> None:
    eventually(
        lambda: not page.front().execute_script("return window.isOld"), "the page was loaded again"
    )
    wait_open(page)


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_two_windows_chat_and_follow_the_files(opened: Opened) -> None:
    server, folder, ada, bob = opened
    say(ada, "hello")
    wait_said(bob, "hello")

    ada.front().find_element("id", "name").send_keys(
        Keys.CONTROL + "a" + Keys.NULL + "Ada" + Keys.ENTER
    )
    eventually(lambda: "Ada came" in bob.texts("#log .note"), "her name is known")
    wait_open(ada)
    say(ada, "it is me")
    eventually(lambda: "Ada: it is me" in bob.texts("#log .message"), "it is hers")
    assert "hello" in ada.texts("#log .message")[0]

    mark(ada)
    mark(bob)
    replace(
        folder / "src" / "templates" / "room.html",
        "<h1>{{ room }}</h1>",
        "<h1>Room {{ room }}</h1>",
    )
    for page in (ada, bob):
        wait_loaded_again(page)
        assert page.text("h1") == "Room general"

    mark(ada)
    mark(bob)
    replace(
        folder / "src" / "public" / "css" / "app.css",
        "h1 { font-size: 1.5rem;",
        "h1 { font-size: 40px;",
    )
    for page in (ada, bob):
        wait_loaded_again(page)
    size = ada.front().execute_script(
        "return getComputedStyle(document.querySelector('h1')).fontSize"
    )
    assert size == "40px"

    mark(ada)
    mark(bob)
    replace(
        folder / "src" / "routes" / "chat.py",
        'str(message["text"])',
        'str(message["text"]).upper()',
    )
    for page in (ada, bob):
        wait_loaded_again(page)
    say(bob, "from new code")
    wait_said(ada, "FROM NEW CODE")
    assert ada.front().find_element("id", "name").get_property("value") == "Ada"
    assert server.log.count("starting again") == 1
    assert "/__tina4/reload" not in server.log
    assert ada.console_errors() == bob.console_errors() == []


def test_a_page_shows_where_code_is_broken_and_comes_back_when_it_is_mended(opened: Opened) -> None:
    server, folder, ada, bob = opened
    chat = folder / "src" / "routes" / "chat.py"
    whole = chat.read_text()

    mark(ada)
    chat.write_text(whole + "\nthis is no Python\n")
    server.wait_for_log("it starts again when a file has changed")
    place = f"src/routes/chat.py:{len(whole.splitlines()) + 2}: SyntaxError: "
    eventually(
        lambda: "500 Internal Server Error" in ada.texts("h1"), "the page says that it is broken"
    )
    link = server.wait_for_log(r"/__tina4/live\?token=[\w-]+")[0]
    for page in (ada, bob):
        address = page.front().current_url
        page.front().get(server.url + link)
        page.front().get(address)
    for page in (ada, bob):
        eventually(
            lambda page=page: any(place in text for text in page.texts("h1")),
            "the page shows the place",
        )
    chat.write_text(whole + "\n# mended\n")

    wait_loaded_again(ada)
    wait_open(bob)
    say(bob, "still here")
    wait_said(ada, "still here")


def test_it_fits_a_phone(opened: Opened) -> None:
    _, _, ada, _ = opened

    ada.resize(PHONE)
    say(ada, "a" * 300)
    wait_said(ada, "a" * 300)

    assert ada.overflow_px() == 0
