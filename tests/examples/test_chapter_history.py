"""The live chat keeps history: its pages get what they missed, in a real Chromium."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from tests.examples.browser import Page, chromium, eventually
from tests.examples.conftest import StartServer
from tests.support import servers
from tests.support.command import run

pytestmark = pytest.mark.deadline(90)

RETURN_S = 40.0
REMEMBER_SOCKETS = """
window.sockets = [];
window.WebSocket = class extends WebSocket {
  constructor(...address) { super(...address); sockets.push(this); }
};
"""


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have servers keep history in one place, whichever of them runs."""
    monkeypatch.setenv("TINA4_WS_HISTORY_DIR", str(tmp_path / "history"))


@pytest.fixture
def driver() -> Iterator[WebDriver]:
    with chromium() as started:
        yield started


def enter(driver: WebDriver, url: str, name: str) -> Page:
    page = Page(driver, f"{url}/livechat/general")
    page.wait_state("open")
    page.rename(name)
    page.wait_note(f"Anonymous is now known as {name}")
    return page


def say_from_outside(text: str) -> None:
    """Publish to the room from a process that doesn't serve, as a cron job does."""
    message = json.dumps({"type": "message", "from": "Clock", "text": text})
    done = run(servers.ROOT, "publish", "/ws/livechat/general", message)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("history")
def test_what_was_said_while_no_server_ran_comes_once_and_in_order(
    start_server: StartServer, driver: WebDriver
) -> None:
    with start_server() as first:
        port = first.address[1]
        ada, grace = enter(driver, first.url, "Ada"), enter(driver, first.url, "Grace")
        ada.say("before")
        grace.wait_message("Ada", "before")
        ada.wait_message("Ada", "before")
        first.kill()
    said = [f"it is {hour}" for hour in range(1, 4)]
    for text in said:
        say_from_outside(text)

    with start_server(port):
        for page in (ada, grace):
            page.wait_state("open", patience_s=RETURN_S)
        grace.say("after")
        ada.wait_message("Grace", "after")
        grace.wait_message("Grace", "after")

        expected = [("Ada", "before"), *(("Clock", text) for text in said), ("Grace", "after")]
        assert ada.messages == grace.messages == expected
        assert ada.own_messages == ["before"]


@pytest.mark.usefixtures("history")
def test_own_text_that_arrived_after_all_leaves_the_composer_again(
    start_server: StartServer, driver: WebDriver
) -> None:
    page = Page(driver, "about:blank")
    page.front().execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument", {"source": REMEMBER_SOCKETS}
    )
    with start_server() as server:
        page.front().get(f"{server.url}/livechat/general")
        page.wait_state("open")
        other = enter(driver, server.url, "Ada")
        page.front().execute_script("sockets.at(-1).onmessage = null")  # the way back is cut

        page.say("is anybody there?")
        other.wait_message("Anonymous", "is anybody there?")
        assert page.own_messages == []
        page.front().execute_script("sockets.at(-1).close()")

        eventually(lambda: page.own_messages == ["is anybody there?"], "it has arrived", RETURN_S)
        assert page.draft == ""
        assert page.messages == [("Anonymous", "is anybody there?")]
