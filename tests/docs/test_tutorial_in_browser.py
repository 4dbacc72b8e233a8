"""The page of docs/tutorial.md in a real Chromium: two windows talk, and nothing is complained
about.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

from tests.examples.browser import PHONE, Page, chromium, eventually
from tests.support.command import serving
from tests.support.markdown import blocks_of
from tests.support.servers import ROOT, Server

PAGE = ROOT / "docs" / "tutorial.md"
BLOCKS = blocks_of(PAGE)

pytestmark = pytest.mark.deadline(60)


@pytest.fixture(scope="module")
def driver() -> Iterator[WebDriver]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("tutorial")
    for block in BLOCKS:
        if block.mark == "file":
            (folder / block.value).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.value).write_text(block.text)
    with serving(folder) as running:
        yield running


def enter(page: Page, field: str, text: str) -> None:
    page.front().find_element("id", field).send_keys(text + Keys.ENTER)


def test_two_windows_talk(driver: WebDriver, server: Server) -> None:
    driver.get_log("browser")
    ada = Page(driver, f"{server.url}/room/general")
    bob = Page(driver, f"{server.url}/room/general", size=PHONE)
    eventually(
        lambda: bob.texts("#log li")[:1] == ["Welcome to room: general"], "the second window is in"
    )

    enter(ada, "name", "Ada")
    enter(ada, "text", "hello <b>")

    eventually(
        lambda: any(line.endswith(" Ada: hello <b>") for line in bob.texts("#log li")),
        "it is heard",
    )
    assert "Anonymous changed their name to Ada" in bob.texts("#log li")
    assert bob.overflow_px() == 0
    assert [
        entry for page in (ada, bob) for entry in page.front().get_log("browser")
    ] == []  # a favicon's 404, too


def test_the_echo_is_tried_in_the_console_of_any_page(driver: WebDriver, server: Server) -> None:
    (typed,) = [
        block.text for block in BLOCKS if block.language == "js" and "/ws/echo" in block.text
    ]
    page = Page(driver, server.url)
    page.front().get_log("browser")

    page.front().execute_script("console.log = (text) => (document.title = text);" + typed)

    eventually(lambda: page.front().title == "Echo: hi", "the echo is there")
