"""The board of examples/flask_app in real browsers, one for each user, under gunicorn."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

from tests.examples.browser import DESKTOP, PHONE, Page, chromium, eventually
from tests.support import servers
from tests.support.servers import Server

pytestmark = pytest.mark.deadline(60)

FOLDER = servers.ROOT / "examples" / "flask_app"
PASSWORD = "correct horse"
RECONNECT_S = 40.0
MARKUP = "<img src=x onerror='window.hacked = true'>"
_numbers = count(1)

Environment = dict[str, str]
Start = Callable[..., Server]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Settings of the app: a database of the tests' own."""
    path = tmp_path_factory.mktemp("board") / "board.sqlite"
    return {
        "PYTHONPATH": str(servers.ROOT), "BOARD_SECRET_KEY": "secret",
        "BOARD_SQLALCHEMY_DATABASE_URI": f"sqlite:///{path}",
    }  # fmt: skip


@pytest.fixture(scope="module")
def server(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log_path = tmp_path_factory.mktemp("log") / "server.log"
    with servers.gunicorn("wsgi:app", FOLDER, log_path, "-w", "1", env=environment) as running:
        yield running
        assert "Traceback" not in running.log


@pytest.fixture(scope="module")
def browsers() -> Iterator[tuple[WebDriver, WebDriver]]:
    """Two browsers, since one has one set of cookies."""
    with chromium() as first, chromium() as second:
        yield first, second


class Board(Page):
    """A window with the board, of a user who has just made an account."""

    def __init__(self, driver: WebDriver, url: str, **look: object) -> None:
        driver.get(url)
        driver.delete_all_cookies()
        driver.get_log("browser")  # what is in there belongs to an earlier test
        super().__init__(driver, url, **look)  # type: ignore[arg-type]
        self.name = f"user-{next(_numbers)}"
        self.fill("#name", self.name)
        self.fill("#password", PASSWORD)
        self.press("Create an account")
        self.wait_live()

    def wait_live(self, patience_s: float = 10.0) -> None:
        """Wait for the badge to say that the WebSocket is open."""
        eventually(lambda: self.texts("#status") == ["Live"], "the badge says Live", patience_s)

    def fill(self, selector: str, text: str) -> None:
        """Type into a field."""
        self.front().find_element(By.CSS_SELECTOR, selector).send_keys(text)

    def press(self, label: str, within: str = "body") -> None:
        """Press a button by its label; in one step, for the board may be replaced at any time."""
        script = (
            "[...document.querySelectorAll(arguments[0] + ' button')]"
            ".find((one) => one.textContent.trim() === arguments[1]).click()"
        )
        self.front().execute_script(script, within, label)

    def add(self, text: str) -> None:
        """Add a card with the keyboard."""
        self.fill("#text", text + Keys.ENTER)

    def column(self, name: str) -> list[str]:
        """The texts of the cards in a column."""
        return self.texts(f"[aria-labelledby=column-{name}] .card .text")

    def card(self, text: str) -> str:
        """Give the selector of a card."""
        script = (
            "return [...document.querySelectorAll('.card')]"
            ".find((card) => card.querySelector('.text').textContent === arguments[0])?.dataset.card"
        )
        number = eventually(lambda: self.front().execute_script(script, text), f"the card {text!r} is there")
        return f".card[data-card='{number}']"

    def clear(self) -> None:
        """Remove all cards."""
        script = (
            "const done = arguments[0]; const cards = [...document.querySelectorAll('.card')];"
            "Promise.all(cards.map((card) => fetch(`/cards/${card.dataset.card}/remove`,"
            " { method: 'POST', headers: { Accept: 'application/json' } }))).then(() => done())"
        )
        self.front().execute_async_script(script)
        eventually(lambda: not self.texts(".card"), "the board is empty")

    def close(self) -> None:
        """Close the window."""
        self.front().close()
        self.driver.switch_to.window(self.driver.window_handles[0])


@pytest.fixture
def open_board(browsers: tuple[WebDriver, WebDriver], server: Server) -> Iterator[Callable[..., Board]]:
    """Open the board as a new user, the first in one browser, the second in the other."""
    opened: list[Board] = []

    def open_one(**look: object) -> Board:
        opened.append(Board(browsers[len(opened)], server.url, **look))
        return opened[-1]

    yield open_one
    for board in opened:
        board.close()


def test_a_card_and_its_moves_show_up_on_the_other_page(open_board):
    ada, bob = open_board(), open_board()
    text = f"write the report {next(_numbers)}"

    ada.add(text)
    eventually(lambda: text in bob.column("todo"), "Bob sees the card")
    assert bob.text("#note") == f"{ada.name} added “{text}”"
    bob.press("Done", within=bob.card(text))
    eventually(lambda: text in ada.column("done"), "Ada sees it move")
    assert text not in ada.column("todo")
    assert ada.text("#note") == f"{bob.name} moved “{text}” to Done"
    ada.press("Remove", within=ada.card(text))
    eventually(lambda: text not in bob.column("done"), "Bob sees it go")

    assert ada.console_errors() == bob.console_errors() == []


def test_markup_stays_text(open_board):
    ada, bob = open_board(), open_board()

    ada.add(MARKUP)

    eventually(lambda: MARKUP in bob.column("todo"), "Bob sees it as text")
    assert bob.front().execute_script("return window.hacked") is None


def test_a_draft_and_the_focus_survive_what_others_do(open_board):
    ada, bob = open_board(), open_board()
    bob.fill("#text", "half a thou")

    ada.add(f"interruption {next(_numbers)}")
    eventually(lambda: bob.text("#note").startswith(f"{ada.name} added"), "Bob's board changed")
    bob.driver.switch_to.active_element.send_keys("ght")

    assert bob.front().find_element(By.ID, "text").get_property("value") == "half a thought"


def test_a_log_out_in_one_window_closes_the_sockets_of_the_others(open_board, server):
    ada, bob = open_board(), open_board()
    other = Page(ada.driver, server.url)
    eventually(lambda: other.texts("#status") == ["Live"], "the other window is live")

    ada.press("Log out")

    eventually(lambda: "Log in" in other.texts("button"), "the other window shows the form", RECONNECT_S)
    bob.add(f"still here {next(_numbers)}")
    eventually(lambda: bob.text("#note").startswith(f"{bob.name} added"), "Bob is still live")
    other.front().close()


def test_a_user_who_is_deactivated_by_the_command_line_is_shown_the_door(open_board, environment):
    ada = open_board()

    command = [sys.executable, "-W", "error", "-m", "flask", "--app", "board", "deactivate", ada.name]
    subprocess.run(command, cwd=FOLDER, env={**os.environ, **environment}, check=True, timeout=20)

    eventually(lambda: "Log in" in ada.texts("button"), "the window shows the form", RECONNECT_S)
    ada.fill("#name", ada.name)
    ada.fill("#password", PASSWORD)
    ada.press("Log in")
    assert ada.texts(".alert") == ["There is no such account, or the password is another."]


def test_it_works_without_a_script(open_board):
    ada = open_board()
    ada.front().execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    ada.front().refresh()
    text = f"by hand {next(_numbers)}"

    ada.add(text)

    eventually(lambda: text in ada.front().page_source, "the page came again, with the card")
    ada.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize(
    ("name", "password", "why"),
    [
        ("", PASSWORD, "A name has 1 to 40 characters."),
        ("x" * 41, PASSWORD, "A name has 1 to 40 characters."),
        ("somebody", "short", "A password has at least 8 characters."),
        ("taken", PASSWORD, "Somebody has this name already."),
    ],
)
def test_a_bad_account_is_refused_with_the_reason(environment, name, password, why):
    script = (
        "import sys, html; from board import create_app; app = create_app(); name, password = sys.argv[1:]\n"
        f"app.test_client().post('/join', data={{'name': 'taken', 'password': {PASSWORD!r}}})\n"
        "answer = app.test_client().post('/join', data={'name': name, 'password': password})\n"
        "print(answer.status_code, html.unescape(answer.text))"
    )
    command = [sys.executable, "-W", "error", "-c", script, name, password]
    done = subprocess.run(
        command, cwd=FOLDER, env={**os.environ, **environment}, capture_output=True, text=True, timeout=20, check=True,
    )  # fmt: skip

    assert done.stdout.startswith("422 ")
    assert why in done.stdout


def test_the_app_says_which_setting_it_lacks():
    command = [sys.executable, "-c", "import board; board.create_app()"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("BOARD_")}
    done = subprocess.run(command, cwd=FOLDER, env=env, capture_output=True, text=True, timeout=20, check=False)

    assert done.returncode == 1
    assert "BOARD_SECRET_KEY is not set" in done.stderr


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_pages_fit_their_window(open_board, server, tmp_path, size, dark):
    folder = Path(os.environ.get("FLASK_APP_SCREENSHOTS", tmp_path))
    name = f"{'phone' if size == PHONE else 'desktop'}-{'dark' if dark else 'light'}.png"
    ada = open_board(size=size, dark=dark)
    ada.clear()
    for text in ("Call the printer about the posters", "Proofread chapter 12", "x" * 120):
        ada.add(text)
        eventually(lambda text=text: text in ada.column("todo"), "the card is there")
    ada.press("In progress", within=ada.card("Proofread chapter 12"))
    eventually(lambda: "Proofread chapter 12" in ada.column("doing"), "it moved")
    ada.screenshot(folder / f"board-{name}")
    assert ada.overflow_px() == 0

    ada.press("Log out")
    eventually(lambda: "Log in" in ada.texts("button"), "the form is there")
    ada.screenshot(folder / f"login-{name}")
    assert ada.overflow_px() == 0
    assert ada.console_errors() == []
