"""The chapter's pages in a real Chromium, as people use them, under each server."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from urllib.parse import quote

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

from tests.examples.browser import DESKTOP, PHONE, Page, chromium, eventually
from tests.examples.conftest import CONVERSATIONS, StartServer
from tests.support.servers import Server

pytestmark = pytest.mark.deadline(60)
# For what the page does by itself: which server it came from makes no difference.
under_one_server = pytest.mark.parametrize("server", ["own"], indirect=True)

RECONNECT_S = 40.0  # a few attempts, with their growing pauses
MARKUP = "<img src=x onerror='window.hacked = true'>"
LOOKS = {
    "desktop-light": (DESKTOP, False),
    "desktop-dark": (DESKTOP, True),
    "phone-light": (PHONE, False),
    "phone-dark": (PHONE, True),
}

OpenPage = Callable[..., Page]
_numbers = count(1)


@pytest.fixture(scope="module")
def driver() -> Iterator[WebDriver]:
    """One browser for all tests of this module; each test opens windows of its own."""
    with chromium() as started:
        yield started


@pytest.fixture
def open_page(driver: WebDriver) -> Iterator[OpenPage]:
    """Open addresses in windows of their own, which are closed at the end."""
    first = driver.current_window_handle
    yield lambda address, **look: Page(driver, address, **look)
    for window in driver.window_handles:
        if window != first:
            driver.switch_to.window(window)
            driver.close()
    driver.switch_to.window(first)


@pytest.fixture
def enter(server: Server, open_page: OpenPage) -> OpenPage:
    """Open a page of the chapter, wait until it is online, and choose a name if one is given."""

    def enter(path: str, name: str = "", **look: object) -> Page:
        page = open_page(server.url + path, **look)
        page.wait_state("open")
        if name:
            page.rename(name)
        return page

    return enter


@pytest.fixture
def room() -> str:
    """A room that no other test is in."""
    return f"browser-{next(_numbers)}"


def test_two_in_a_room_see_each_other_come_speak_and_go(enter: OpenPage, room: str) -> None:
    ada = enter(f"/room/{room}", "Ada")
    grace = enter(f"/room/{room}", "Grace")

    ada.wait_note("Anonymous changed their name to Grace")
    grace.say("hello")
    ada.wait_message("Grace", "hello")
    ada.say("welcome")
    grace.wait_message("Ada", "welcome")
    grace.front().get("about:blank")

    ada.wait_note("Grace left the room")
    assert ada.notes == [
        f"Welcome to room: {room}",
        "A new user joined",
        "Anonymous changed their name to Ada",
        "A new user joined",
        "Anonymous changed their name to Grace",
        "Grace left the room",
    ]
    assert ada.console_errors() == []


@pytest.mark.parametrize("prefix", ["/room", "/livechat", "/chat"])
def test_other_room_hears_nothing(enter: OpenPage, room: str, prefix: str) -> None:
    ada = enter(f"{prefix}/{room}", "Ada")
    grace = enter(f"{prefix}/{room}", "Grace")
    outsider = enter(f"{prefix}/{room}-other", "Linus")
    outsider.say("first")
    outsider.wait_message("Linus", "first")

    ada.say("only for us")
    grace.wait_message("Ada", "only for us")
    outsider.say("second")
    outsider.wait_message("Linus", "second")

    assert outsider.messages == [("Linus", "first"), ("Linus", "second")]
    assert not any("Ada" in note or "Grace" in note for note in outsider.notes)
    assert ada.messages == grace.messages == [("Ada", "only for us")]


def test_typing_shows_to_the_others_until_the_message_comes(enter: OpenPage, room: str) -> None:
    ada = enter(f"/livechat/{room}", "Ada")
    grace = enter(f"/livechat/{room}", "Grace")
    ada.wait_note("Anonymous is now known as Grace")

    ada.type("thinking")
    eventually(lambda: grace.text("#typing") == "Ada is typing…", "Grace sees Ada typing")
    assert ada.text("#typing") == ""
    ada.type(Keys.ENTER)

    grace.wait_message("Ada", "thinking")
    assert grace.text("#typing") == ""


@under_one_server
def test_typing_notice_goes_away_when_nothing_follows(enter: OpenPage, room: str) -> None:
    ada = enter(f"/livechat/{room}", "Ada")
    grace = enter(f"/livechat/{room}", "Grace")

    ada.type("well")
    eventually(lambda: grace.text("#typing") == "Ada is typing…", "Grace sees Ada typing")

    eventually(lambda: grace.text("#typing") == "", "the notice is gone")


def test_own_messages_are_told_apart_even_under_one_name(enter: OpenPage, room: str) -> None:
    one, other = enter(f"/room/{room}"), enter(f"/room/{room}")

    one.say("mine")
    other.wait_message("Anonymous", "mine")
    other.say("yours")
    one.wait_message("Anonymous", "yours")

    assert one.own_messages == ["mine"]
    assert other.own_messages == ["yours"]


@pytest.mark.parametrize("prefix", ["/room", "/livechat", "/chat"])
def test_markup_stays_text(enter: OpenPage, room: str, prefix: str) -> None:
    path = f"{prefix}/{quote(MARKUP + room, safe='')}"
    ada = enter(path)
    grace = enter(path)

    ada.rename(MARKUP[:40])  # as long as the page lets a name be
    ada.say(MARKUP)

    grace.wait_message(MARKUP[:40], MARKUP)
    assert grace.text("h1") == MARKUP + room
    for page in (ada, grace):
        assert page.front().find_elements(By.TAG_NAME, "img") == []
        assert page.front().execute_script("return window.hacked") is None
        assert page.console_errors() == []


def test_pages_come_back_when_the_server_does(
    start_server: StartServer, open_page: OpenPage
) -> None:
    with start_server() as first:
        port = first.address[1]
        ada = open_page(f"{first.url}/room/general")
        ada.rename("Ada")
        grace = open_page(f"{first.url}/livechat/general")
        grace.rename("Grace")
        grace.wait_note("Anonymous is now known as Grace")
        ada.say("before")
        ada.wait_message("Ada", "before")

    ada.wait_state("waiting", "connecting")
    ada.say("written while away")
    badge = eventually(lambda: ada.text("#status-text"), "the badge says something")
    assert badge.startswith("Reconnecting")

    with start_server(port):
        ada.wait_state("open", patience_s=RECONNECT_S)
        grace.wait_state("open", patience_s=RECONNECT_S)
        ada.wait_note("Anonymous changed their name to Ada")
        assert ada.draft == "written while away"
        ada.type(Keys.ENTER)

        ada.wait_message("Ada", "written while away")
        assert ada.own_messages == ["before", "written while away"]
        grace.say("me too")
        grace.wait_message("Grace", "me too")


def test_text_that_never_arrived_is_given_back(
    start_server: StartServer, open_page: OpenPage
) -> None:
    with start_server() as server:
        page = open_page(f"{server.url}/room/general")
        page.wait_note("A new user joined")
        os.killpg(server.pid, signal.SIGSTOP)

        page.say("into the void")
        assert page.draft == ""
        assert page.texts("#log .pending .text") == ["into the void"]
        server.kill()

        page.wait_state("waiting", "connecting")
        assert page.draft == "into the void"
        assert page.messages == []


def test_wrong_token_is_told_and_not_tried_again(server: Server, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/private")

    page.front().find_element(By.CSS_SELECTOR, "[data-token=wrong]").click()

    page.wait_state("refused")
    assert page.text("#status-text") == "Not allowed"
    assert page.notes == ["Closed by the server: a valid token is needed"]


def test_right_token_opens_the_private_page(server: Server, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/private")

    page.front().find_element(By.ID, "token").send_keys("grace-7148" + Keys.ENTER)
    page.wait_note("Welcome, Grace")
    page.say("a note")

    eventually(lambda: page.own_messages == ["a note"], "the note came back")


@pytest.mark.parametrize(
    ("path", "author"), [("/echo", "Server"), ("/chat", ""), ("/announcements", "")]
)
def test_small_page_shows_what_comes_back(enter: OpenPage, path: str, author: str) -> None:
    page = enter(path)

    page.say("hello")

    eventually(lambda: page.own_messages == ["hello"], "the own message came back")
    expected = [("You", "hello"), ("Server", "Echo: hello")] if author else [("You", "hello")]
    eventually(lambda: page.messages == expected, "everything that was said is shown")
    assert page.console_errors() == []


def test_room_picker_leads_into_the_room(server: Server, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/")
    field = page.front().find_element(By.ID, "picker-room")

    field.clear()
    field.send_keys("käse & brot/50%" + Keys.ENTER)

    page.wait_state("open")
    assert page.text("h1") == "käse & brot-50%"
    assert page.notes[0] == "Welcome to room: käse & brot-50%"


@under_one_server
def test_reading_older_messages_is_not_disturbed(enter: OpenPage, room: str) -> None:
    reader, writer = enter(f"/room/{room}", size=PHONE), enter(f"/room/{room}")
    for number in range(25):
        writer.say(f"line {number}")
    reader.wait_message("Anonymous", "line 24")
    assert not reader.front().find_element(By.ID, "to-latest").is_displayed()
    reader.front().execute_script("document.querySelector('#log').scrollTop = 0")

    writer.say("news")
    button = reader.front().find_element(By.ID, "to-latest")
    eventually(lambda: reader.front() and button.is_displayed(), "the button for new messages")
    scrolled = "return document.querySelector('#log').scrollTop"
    assert reader.front().execute_script(scrolled) == 0
    button.click()

    eventually(
        lambda: reader.front().execute_script(scrolled) > 100, "the newest message is in sight"
    )


@under_one_server
def test_everything_works_without_a_mouse(enter: OpenPage, room: str) -> None:
    page = enter(f"/room/{room}")
    visited = []

    for _ in range(6):
        page.driver.switch_to.active_element.send_keys(Keys.TAB)
        focused = page.driver.switch_to.active_element
        visited.append(
            focused.get_attribute("id") or focused.get_attribute("aria-label") or focused.text
        )

    assert visited == [
        "Skip to your message",
        "All examples",
        "log",
        "name-change",
        "composer-text",
        "Send",
    ]


@under_one_server
@pytest.mark.parametrize("path", ["/", *CONVERSATIONS])
def test_pages_fit_their_window(
    server: Server, open_page: OpenPage, tmp_path: Path, path: str
) -> None:
    folder = Path(os.environ.get("CHAPTER_SCREENSHOTS", tmp_path))
    page = open_page(server.url + path)
    if path not in ("/", "/private"):
        page.wait_state("open")
        page.say("A longer message, so that the line has to break somewhere. " + "x" * 200)
        eventually(lambda: page.own_messages, "the message came back")
    name = path.strip("/").replace("/general", "-room").replace("/", "-") or "index"

    for look, (size, dark) in LOOKS.items():
        page.resize(size, dark)
        page.screenshot(folder / f"{name}-{look}.png")

        assert page.overflow_px() == 0, look
    assert page.console_errors() == []
