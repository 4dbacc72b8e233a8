"""A window with one of the frameworks' examples, which have accounts, a badge that says "Live", and a log-out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

from tests.examples.browser import PATIENCE_S, Page, eventually
from tests.support import servers
from tests.support.servers import Server

PASSWORD = "correct horse"
LOG_OUT_S = 40.0  # the apps look every five seconds; a loaded machine later
MARKUP = "<img src=x onerror='window.hacked = true'>"
_numbers = count(1)


def unique(text: str) -> str:
    """Make a text that no other test uses."""
    return f"{text} {next(_numbers)}"


@contextmanager
def example(name: str, folder: Path, **environment: str) -> Iterator[Server]:
    """Serve `examples/NAME` under gunicorn; it must not log a traceback."""
    env = {"PYTHONPATH": str(servers.ROOT), **environment}
    running = servers.gunicorn("wsgi:app", servers.ROOT / "examples" / name, folder / "server.log", "-w", "1", env=env)
    with running as server:
        servers.wait_until_answering(server, "/login")
        yield server
        assert "Traceback" not in server.log, server.log
        server.end()


class LivePage(Page):
    """A window of a user who has just made an account; `page.name` is hers."""

    def __init__(self, driver: WebDriver, url: str, **look: object) -> None:
        driver.get(url)
        driver.delete_all_cookies()
        driver.get("about:blank")  # or this window's page would go on, and complain in the middle of the test
        driver.get_log("browser")  # what is in there belongs to an earlier test
        super().__init__(driver, url, **look)  # type: ignore[arg-type]
        self.name = unique("user")
        eventually(lambda: self.sees("Create an account"), "the form is there")
        self.fill("#name", self.name)
        self.fill("#password", PASSWORD)
        self.press("Create an account")
        self.wait_live()

    def wait_live(self, patience_s: float = PATIENCE_S) -> None:
        """Wait for the badge to say that the WebSocket is open."""
        eventually(lambda: self.texts("#status") == ["Live"], "the badge says Live", patience_s)

    def sees(self, label: str) -> bool:
        """Say whether there is a button with this label that one could press."""
        script = (
            "return [...document.querySelectorAll('button')]"
            ".some((one) => one.checkVisibility() && one.textContent.trim() === arguments[0])"
        )
        return bool(self.front().execute_script(script, label))

    def fill(self, selector: str, text: str) -> None:
        """Type into a field."""
        self.front().find_element(By.CSS_SELECTOR, selector).send_keys(text)

    def enter(self, selector: str, text: str) -> None:
        """Type into a field, and send its form with the keyboard."""
        self.fill(selector, text + Keys.ENTER)

    def press(self, label: str, within: str = "body") -> None:
        """Press a button by its label; in one step, for the page may change at any time."""
        script = (
            "[...document.querySelectorAll(arguments[0] + ' button')]"
            ".find((one) => one.checkVisibility() && one.textContent.trim() === arguments[1]).click()"
        )
        self.front().execute_script(script, within, label)

    def close(self) -> None:
        """Close the window."""
        self.front().close()
        self.driver.switch_to.window(self.driver.window_handles[0])


def assert_log_out_reaches_other_windows(ada: LivePage, bob: LivePage, url: str) -> None:
    """Log out in one window; the other one of the same browser shows the form, and another user stays live."""
    other = Page(ada.driver, url)
    eventually(lambda: other.texts("#status") == ["Live"], "the other window is live")

    ada.press("Log out")

    eventually(lambda: "Create an account" in other.texts("button"), "the other window shows the form", LOG_OUT_S)
    eventually(lambda: LivePage.sees(other, "Create an account"), "and lets her in again")  # type: ignore[arg-type]
    assert bob.texts("#status") == ["Live"]
    other.front().close()
    ada.driver.switch_to.window(ada.driver.window_handles[-1])


def assert_fits(page: LivePage, name: str, folder: Path) -> None:
    """See that nothing is wider than the window and nothing was complained about; leaves a picture."""
    page.screenshot(folder / f"{name}.png")

    assert page.overflow_px() == 0
    errors = page.console_errors()
    assert errors == [], errors
