"""Makes the pictures of the live page: `python -m tests.monitoring.screenshots docs/images`."""

from __future__ import annotations

import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver

from tests.examples.browser import DESKTOP, PHONE, Page, chromium, eventually
from tests.monitoring.conftest import APPS, COOKIE, PAGE
from tests.support import servers
from tests.support.crowd import Crowd, Member
from tests.support.raw import CLOSE, client_frame

CROWD = 1_000
ROOMS = ("general", "dev-team", "support", "design", "ops", "random")
WATCH_S = 75  # long enough for charts to show something
SLOW_FROM_S = 50


class Chat(threading.Thread):
    """A thousand who chat, some who leave, and one who doesn't read."""

    def __init__(self, server: servers.Server) -> None:
        super().__init__()
        self._address = server.address
        self.is_over = threading.Event()

    def run(self) -> None:
        """Chat until `is_over`."""
        with Crowd(self._address) as crowd:
            members = [crowd.join(f"/ws/room/{_room(number)}") for number in range(CROWD)]
            lazy, talker = (
                crowd.join("/ws/ticker/prices", receive_buffer_bytes=4_096),
                crowd.join("/ws/ticker/prices"),
            )
            crowd.wait_until_open()
            lazy.is_listening = False
            began_at = time.monotonic()
            while not self.is_over.is_set():
                until = time.monotonic() + 0.1
                for member in random.sample(members, random.randint(10, 30)):
                    member.send_text("hello there")
                if time.monotonic() - began_at > SLOW_FROM_S:
                    talker.send_text("x" * 60)
                if random.random() < 0.1:
                    _leave(members.pop(random.randrange(len(members))))
                crowd.listen_until(lambda until=until: time.monotonic() > until, "a moment")
                for member in crowd.members:
                    member.frames.clear()


def _room(number: int) -> str:
    return (
        ROOMS[int(abs(random.gauss(0, 1.6))) % len(ROOMS)] if number % 3 else f"desk-{number % 90}"
    )


def _leave(member: Member) -> None:
    code, reason = random.choice([(1_000, b""), (1_001, b""), (4_000, b"moved to another room")])
    member.send_bytes(client_frame(CLOSE, code.to_bytes(2, "big") + reason))


def take(driver: WebDriver, server: servers.Server, folder: Path) -> None:
    """Take the pictures, one after the other."""
    page = Page(driver, "about:blank", size=DESKTOP)
    page.set_cookie(server.url, "admin", COOKIE)
    driver.get(f"{server.url}{PAGE}")
    eventually(lambda: page.text("#status") == "live", "the page is live")
    time.sleep(2)
    page.screenshot(folder / "live-empty.png")
    chat = Chat(server)
    chat.start()
    try:
        time.sleep(WATCH_S)
        page.screenshot(folder / "live-desktop.png")
        page.resize((DESKTOP[0], 1_300), dark=True)
        page.front().find_element(By.CSS_SELECTOR, "#paths button.link").click()
        time.sleep(1)
        page.front().execute_script("scrollTo(0, 0)")
        page.screenshot(folder / "live-desktop-dark.png")
        page.front().find_element(By.ID, "found-close").click()
        page.resize(PHONE, dark=True)
        page.front().execute_script("document.activeElement.blur(); scrollTo(0, 0)")
        time.sleep(1)
        page.screenshot(folder / "live-phone-dark.png")
        page.resize(PHONE)
        page.front().execute_script("document.getElementById('closes-title').scrollIntoView()")
        time.sleep(1)
        page.screenshot(folder / "live-slow-phone.png")
    finally:
        chat.is_over.set()
        chat.join()


def main(folder: Path) -> None:
    """Serve, chat, look, and save what it looks like."""
    with tempfile.TemporaryDirectory() as own:
        env = {"ADMIN_COOKIE": COOKIE, "TINA4_WS_METRICS_DIR": f"{own}/numbers"}
        log = Path(own, "log")
        with (
            servers.gunicorn("watched:app", APPS, log, "-w", "2", env=env) as server,
            chromium() as driver,
        ):
            take(driver, server, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
