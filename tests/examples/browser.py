"""A real headless Chromium, and the examples' pages as a person sees them."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

CHROMIUM = "/usr/bin/chromium"
CHROMEDRIVER = "/usr/bin/chromedriver"
DESKTOP = (1280, 800)
PHONE = (360, 740)
PATIENCE_S = 30.0  # a loaded machine needs some seconds for what usually takes 50 ms
POLL_S = 0.05

_FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    # Without these, the browser calls its maker at every start.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Several windows take turns in front; those behind must go on as a second person's browser
    # would.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
)

Found = TypeVar("Found")


@contextmanager
def chromium() -> Iterator[WebDriver]:
    """A browser with a profile of its own, gone at the end."""
    with tempfile.TemporaryDirectory(
        prefix="chapter-browser-", ignore_cleanup_errors=True
    ) as profile:
        options = Options()
        options.binary_location = CHROMIUM
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        if os.geteuid() == 0:
            options.add_argument("--no-sandbox")  # Chromium refuses its sandbox to root
        # The explicit path keeps selenium from looking for a driver on the network.
        driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))
        try:
            yield driver
        finally:
            driver.quit()


def eventually(look: Callable[[], Found], what: str, patience_s: float = PATIENCE_S) -> Found:
    """Wait until `look` finds something true, and give it."""
    deadline = time.monotonic() + patience_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"after {patience_s:g} s still not so: {what}"
        time.sleep(POLL_S)


class Page:
    """One window with one of the examples' pages; each method brings it to the front first."""

    def __init__(
        self,
        driver: WebDriver,
        address: str,
        *,
        size: tuple[int, int] = DESKTOP,
        dark: bool = False,
    ) -> None:
        driver.switch_to.new_window("tab")
        self.driver = driver
        self._window = driver.current_window_handle
        self.resize(size, dark)
        driver.get(address)

    def resize(self, size: tuple[int, int], dark: bool = False) -> None:
        """Show the page at a width and height in CSS pixels, light or dark."""
        driver = self.front()
        width, height = size
        self._width = width
        is_phone = width < 500
        driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {
                "width": width,
                "height": height,
                "deviceScaleFactor": 1 + is_phone,
                "mobile": is_phone,
            },
        )
        driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]},
        )

    def front(self) -> WebDriver:
        """The driver, with this page in front."""
        self.driver.switch_to.window(self._window)
        return self.driver

    def text(self, selector: str) -> str:
        """What a reader sees of one element."""
        return self.front().find_element(By.CSS_SELECTOR, selector).text

    def texts(self, selector: str) -> list[str]:
        """What a reader sees of each such element, in the page's order."""
        script = (
            "return [...document.querySelectorAll(arguments[0])].map((found) => found.innerText)"
        )
        return list(self.front().execute_script(script, selector))

    @property
    def notes(self) -> list[str]:
        """The lines about the room: joins, leaves, new names."""
        return self.texts("#log .note")

    @property
    def messages(self) -> list[tuple[str, str]]:
        """Author and text of all delivered messages."""
        script = (
            "return [...document.querySelectorAll('#log .message:not(.pending)')].map((message) =>"
            " [message.dataset.author, message.querySelector('.text').textContent])"
        )
        return [(author, text) for author, text in self.front().execute_script(script)]

    @property
    def own_messages(self) -> list[str]:
        """The texts of the messages that the page shows as its user's own."""
        return self.texts("#log .message.own:not(.pending) .text")

    @property
    def draft(self) -> str:
        """What stands in the composer."""
        return str(self.front().find_element(By.ID, "composer-text").get_property("value"))

    def wait_state(self, *states: str, patience_s: float = PATIENCE_S) -> None:
        """Wait for the connection's badge to be in one of these states: "open", "waiting" and so
        on.
        """
        eventually(
            lambda: (
                self.front().find_element(By.ID, "status").get_attribute("data-state") in states
            ),
            f"the badge says {' or '.join(states)}",
            patience_s,
        )

    def wait_note(self, note: str) -> None:
        """Wait for a line about the room."""
        eventually(lambda: note in self.notes, f"the note {note!r}, have {self.notes}")

    def wait_message(self, author: str, text: str) -> None:
        """Wait for a message of somebody."""
        eventually(lambda: (author, text) in self.messages, f"{author!r} said {text!r}")

    def type(self, text: str) -> None:
        """Type into the composer without sending."""
        self.front().find_element(By.ID, "composer-text").send_keys(text)

    def say(self, text: str) -> None:
        """Type a message and send it with Enter."""
        self.type(text + Keys.ENTER)

    def rename(self, name: str) -> None:
        """Choose a name with the keyboard alone."""
        driver = self.front()
        driver.find_element(By.ID, "name-change").send_keys(Keys.ENTER)
        driver.switch_to.active_element.send_keys(name + Keys.ENTER)

    def overflow_px(self) -> int:
        """By how much the page is wider than its window; 0 is right."""
        width = int(self.front().execute_script("return document.documentElement.scrollWidth"))
        return max(0, width - self._width)

    def console_errors(self) -> list[str]:
        """What the browser complained about: scripts, the content security policy, missing
        files.
        """
        return [
            entry["message"]
            for entry in self.front().get_log("browser")
            if entry["level"] == "SEVERE"
        ]

    def set_cookie(self, server_url: str, name: str, value: str) -> None:
        """Have a cookie for a server, without opening any page of it."""
        cookie = {"name": name, "value": value, "url": server_url}
        self.front().execute_cdp_cmd("Network.setCookie", cookie)

    def screenshot(self, path: Path) -> None:
        """Save what the window shows."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.front().save_screenshot(str(path))
