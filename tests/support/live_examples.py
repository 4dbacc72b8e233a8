"""The frameworks' examples, each served as its README says, and a window with its page in a real
browser.

All have accounts, a page that shows what others add while they do, a badge that says "Live", and a
log-out.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

from tests.examples.browser import PATIENCE_S, Page, eventually
from tests.support import servers
from tests.support.servers import Server

PASSWORD = "correct horse"
_numbers = count(1)


def unique(text: str) -> str:
    """Make a text that no other test uses."""
    return f"{text} {next(_numbers)}"


class LivePage(Page):
    """A window of a user who has just come in; `page.name` is hers.

    Args:
        number: 0 or 1, for the first and the second user of a test.
    """

    def __init__(self, driver: WebDriver, url: str, number: int, **look: object) -> None:
        # Of all sites, and without a page: who was logged in here before would be shown once more,
        # and be live.
        driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        driver.get_log("browser")  # what is in there belongs to an earlier test
        super().__init__(driver, url, **look)  # type: ignore[arg-type]
        self.name = self.come_in(number)
        self.wait_live()

    def come_in(self, number: int) -> str:
        """Make an account, and give its name."""
        name = unique("user")
        eventually(lambda: self.sees("Create an account"), "the form is there")
        self.fill("#name", name)
        self.fill("#password", PASSWORD)
        self.press("Create an account")
        return name

    def add(self, text: str) -> None:
        """Add something that others see, with the keyboard."""
        self.enter("#text", text)

    def shown(self) -> list[str]:
        """Give the texts of all that was added, as a reader sees them."""
        raise NotImplementedError

    def wait_live(self, patience_s: float = PATIENCE_S) -> None:
        """Wait for the badge to say that the WebSocket is open."""
        eventually(lambda: self.texts("#status") == ["Live"], "the badge says Live", patience_s)

    def wait_shown(self, text: str, patience_s: float = PATIENCE_S) -> None:
        """Wait until somebody's text is there."""
        eventually(lambda: text in self.shown(), f"{text!r} is shown", patience_s)

    def sees(self, label: str) -> bool:
        """Say whether there is a button with this label that one could press."""
        return sees(self, label)

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
            ".find((one) => one.checkVisibility() && one.textContent.trim() === "
            "arguments[1]).click()"
        )
        self.front().execute_script(script, within, label)

    def close(self) -> None:
        """Close the window."""
        self.front().close()
        self.driver.switch_to.window(self.driver.window_handles[0])


def sees(page: Page, label: str) -> bool:
    """Say whether a page has a button with this label that one could press."""
    script = (
        "return [...document.querySelectorAll('button')]"
        ".some((one) => one.checkVisibility() && one.textContent.trim() === arguments[0])"
    )
    return bool(page.front().execute_script(script, label))


class PollPage(LivePage):
    """The poll, in Bottle."""

    def shown(self) -> list[str]:
        return self.texts("#choices .text")


class ThermometersPage(LivePage):
    """The thermometers, in Falcon."""

    def add(self, text: str) -> None:
        self.measure(text, "21.4")

    def measure(self, place: str, celsius: str) -> None:
        """Fill in the form."""
        self.fill("#place", place)
        self.enter("#celsius", celsius)

    def shown(self) -> list[str]:
        return self.texts("#values dt")


class DeskPage(LivePage):
    """The help desk, in Pyramid."""

    def shown(self) -> list[str]:
        return self.texts("#tickets .text")


class BoardPage(LivePage):
    """The board, in Flask."""

    def shown(self) -> list[str]:
        return self.column("todo")

    def column(self, name: str) -> list[str]:
        """The texts of the cards in a column."""
        return self.texts(f"[aria-labelledby=column-{name}] .card .text")

    def card(self, text: str) -> str:
        """Give the selector of a card."""
        script = (
            "return [...document.querySelectorAll('.card')]"
            ".find((card) => card.querySelector('.text').textContent === "
            "arguments[0])?.dataset.card"
        )
        number = eventually(
            lambda: self.front().execute_script(script, text), f"the card {text!r} is there"
        )
        return f".card[data-card='{number}']"


class HelpDeskPage(LivePage):
    """The help desk, in Django, whose users are there before."""

    def come_in(self, number: int) -> str:
        name = ("ada", "grace")[number]
        eventually(lambda: self.sees("Log in"), "the form is there")
        self.fill("#id_username", name)
        self.enter("#id_password", "demo")
        return name

    def add(self, text: str) -> None:
        """Add a ticket by the form, which loads the page again."""
        self.enter("#id_title", text)
        self.wait_shown(text)
        self.wait_live()

    def shown(self) -> list[str]:
        return self.texts("#open .title")


@dataclass(frozen=True)
class Example:
    """One of the examples.

    Attributes:
        name: its folder.
        page: a window with it.
        environment: the variables that it takes, given the folder for its database.
        longest_text: how long a text may be that one adds; at most so long in the tests.
        target: what gunicorn serves.
        preparations: words of `manage.py` that are run once before.
    """

    name: str
    page: type[LivePage]
    environment: Callable[[Path], dict[str, str]]
    longest_text: int
    target: str = "wsgi:app"
    preparations: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name.removesuffix("_app")

    @property
    def folder(self) -> Path:
        """Where it is."""
        return servers.ROOT / "examples" / self.name

    @contextmanager
    def serve(self, folder: Path, port: int = 0) -> Iterator[Server]:
        """Run it under gunicorn with a database in `folder`; it must not log a traceback.

        Args:
            port: one that it has had before, for a restart.
        """
        if port == 0:
            for words in self.preparations:
                self.run(folder, "manage.py", *words.split())
        log_path = folder / f"server-{port}.log"
        env = self.variables(folder)
        with servers.gunicorn(
            self.target, self.folder, log_path, "-w", "1", port=port, env=env
        ) as server:
            servers.wait_until_answering(server, "/login")
            yield server
            assert "Traceback" not in server.log, server.log
            server.end()

    def run(self, folder: Path, *arguments: str) -> None:
        """Run Python in the example's folder, with the database in `folder`; it must succeed."""
        command = [*servers.PYTHON, *arguments]
        env = {**os.environ, **self.variables(folder)}
        subprocess.run(command, cwd=self.folder, env=env, check=True, timeout=60)

    def variables(self, folder: Path) -> dict[str, str]:
        """Give what its processes are started with."""
        return {"PYTHONPATH": str(servers.ROOT), **self.environment(folder)}


BOTTLE = Example(
    "bottle_app",
    PollPage,
    lambda folder: {"POLL_DATABASE": str(folder / "poll.sqlite")},
    longest_text=60,
)
DJANGO = Example(
    "django_app",
    HelpDeskPage,
    lambda folder: {"HELPDESK_DATABASE": str(folder / "db.sqlite3")},
    longest_text=90,
    target="helpdesk.wsgi",
    preparations=("migrate --verbosity 0", "demo"),
)
FALCON = Example(
    "falcon_app",
    ThermometersPage,
    lambda folder: {"THERMOMETERS_DATABASE": str(folder / "thermometers.sqlite")},
    longest_text=40,
)
FLASK = Example(
    "flask_app",
    BoardPage,
    lambda folder: {
        "BOARD_SECRET_KEY": "secret",
        "BOARD_SQLALCHEMY_DATABASE_URI": f"sqlite:///{folder / 'board.sqlite'}",
    },
    longest_text=120,
)
PYRAMID = Example(
    "pyramid_app",
    DeskPage,
    lambda folder: {"DESK_DATABASE": f"sqlite:///{folder / 'desk.sqlite'}"},
    longest_text=150,
)

EXAMPLES = (BOTTLE, DJANGO, FALCON, FLASK, PYRAMID)
