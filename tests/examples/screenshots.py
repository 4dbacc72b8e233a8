"""Makes the pictures of the documentation: `python -m tests.examples.screenshots docs/images`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from selenium.webdriver.remote.webdriver import WebDriver

from tests.examples.browser import DESKTOP, PHONE, Page, chromium, eventually
from tests.examples.conftest import serve_chapter


def index(driver: WebDriver, url: str, folder: Path) -> None:
    """The list of the examples."""
    page = Page(driver, url)
    page.screenshot(folder / "index-desktop.png")
    page.resize(PHONE, dark=True)
    page.screenshot(folder / "index-phone-dark.png")


def chat_room(driver: WebDriver, url: str, folder: Path) -> None:
    """Two people in the chat room."""
    ada = Page(driver, f"{url}/room/general", size=DESKTOP)
    ada.rename("Ada")
    grace = Page(driver, f"{url}/room/general", size=PHONE)
    grace.rename("Grace")
    ada.wait_note("Anonymous changed their name to Grace")
    ada.say("Good morning! Three cards moved to Done since yesterday.")
    grace.wait_message("Ada", "Good morning! Three cards moved to Done since yesterday.")
    for text in (
        "Lovely. I'll take the next one.",
        "Does the <b>login page</b> need a second look?",
    ):
        grace.say(text)
        ada.wait_message("Grace", text)
    ada.say("Yes please, before lunch.")
    grace.wait_message("Ada", "Yes please, before lunch.")
    ada.screenshot(folder / "room-desktop.png")
    grace.screenshot(folder / "room-phone.png")
    ada.resize(DESKTOP, dark=True)
    ada.screenshot(folder / "room-desktop-dark.png")


def live_chat(driver: WebDriver, url: str, folder: Path) -> None:
    """Somebody types."""
    ada = Page(driver, f"{url}/livechat/dev-team")
    ada.rename("Ada")
    grace = Page(driver, f"{url}/livechat/dev-team", size=PHONE, dark=True)
    grace.rename("Grace")
    ada.wait_note("Anonymous is now known as Grace")
    grace.say("Is the new build out?")
    ada.wait_message("Grace", "Is the new build out?")
    ada.type("Just a mom")
    eventually(lambda: grace.text("#typing"), "Grace sees that Ada types")
    grace.screenshot(folder / "livechat-phone-dark.png")


def lost(page: Page, folder: Path) -> None:
    """The server has gone away."""
    page.wait_state("waiting")
    page.say("I write on meanwhile")
    page.wait_state("waiting")
    page.screenshot(folder / "reconnecting-phone.png")


def main(folder: Path) -> None:
    """Serve the chapter, use it, and save what it looks like."""
    with tempfile.TemporaryDirectory() as logs, chromium() as driver:
        with serve_chapter("own", Path(logs, "log")) as server:
            index(driver, server.url, folder)
            chat_room(driver, server.url, folder)
            live_chat(driver, server.url, folder)
            page = Page(driver, f"{server.url}/room/general", size=PHONE)
            page.rename("Ada")
            page.say("See you in a minute.")
            page.wait_message("Ada", "See you in a minute.")
        lost(page, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
