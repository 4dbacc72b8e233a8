"""Pages in a real browser while `flask run --debug` and Django's `runserver` restart for a change
in the code: the page comes back by itself, and hears what happens from then on.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

from tests.examples.browser import Page, chromium, eventually
from tests.support import native_hosts, servers
from tests.support.changes import applied
from tests.support.live_examples import DJANGO, FLASK, Example
from tests.support.markdown import blocks_of
from tests.support.servers import Server

# A browser's driver and the page wait for seconds, and a reloader looks once a second.
pytestmark = pytest.mark.deadline(120)

SCREENSHOTS = os.environ.get("RELOADER_SCREENSHOTS")
"""A folder for pictures of the pages behind the restart."""

RETURN_S = 40.0  # a page waits for 15 seconds at most between two attempts
FLASK_RUN = ("-m", "flask", "run", "--debug", "--port")
RUNSERVER = ("manage.py", "runserver")
SECOND_LIFE = 'print("the changed code is there", flush=True)\n'

LIVE_BOARD = """
from board import create_app

from tina4_wsgi.contrib.flask import Live

app = create_app()
Live(app)
"""

REMEMBER_NEXT_SOCKET = """
window.nextSocket = undefined;
window.WebSocket = class extends WebSocket {
  constructor(...address) { super(...address); window.nextSocket = this; }
};
"""
NOTE_STATES = """
window.states = [];
const badge = document.querySelector("#status");
new MutationObserver(() => states.push(badge.textContent))
  .observe(badge, { childList: true, characterData: true, subtree: true });
"""


@pytest.fixture(scope="module")
def driver() -> Iterator[WebDriver]:
    with chromium() as started:
        yield started


@contextlib.contextmanager
def running(folder: Path, words: tuple[str, ...], **env: str) -> Iterator[Server]:
    """Run a server of a framework, with its reloader, at a port that stays its own."""
    # Without watchdog, with which Werkzeug follows whatever changes in the whole environment.
    library = folder.parent / "library"
    library.mkdir()
    (library / "watchdog.py").touch()
    path = f"{library}{os.pathsep}{servers.ROOT}"
    env = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **env}
    with reserved_port() as port:
        where = str(port) if words[-1] == "--port" else f"{servers.LOOPBACK}:{port}"
        command = [*servers.PYTHON, *words, where]
        with native_hosts.running(command, folder, folder.parent / "log", env) as server:
            yield server


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """Give a port that servers may take as often as they like, and nobody else gets meanwhile."""
    with socket.socket() as holder:
        # Bound and not listening: that is no obstacle to who sets the same option.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((servers.LOOPBACK, 0))
        yield holder.getsockname()[1]


def change(server: Server, path: Path) -> None:
    """Change a file, and wait until a process has loaded it."""
    path.write_text(path.read_text() + SECOND_LIFE)
    seconds = itertools.count(2)

    def is_loaded() -> bool:
        if "the changed code is there" in server.log:
            return True
        # A reloader may have noted the time of a new module after the change.
        os.utime(path, 2 * (time.time() + next(seconds),))
        time.sleep(0.5)
        return False

    eventually(is_loaded, "the changed code is there", RETURN_S)


def keep_picture(page: Page, name: str) -> None:
    if SCREENSHOTS:
        page.screenshot(Path(SCREENSHOTS, f"{name}.png"))


def flask_example(folder: Path) -> tuple[Example, tuple[str, ...], Path]:
    site = folder / "site"
    shutil.copytree(FLASK.folder, site, ignore=shutil.ignore_patterns("__pycache__"))
    (site / "live_board.py").write_text(LIVE_BOARD)
    return FLASK, FLASK_RUN, site / "board" / "cards.py"


def django_example(folder: Path) -> tuple[Example, tuple[str, ...], Path]:
    shutil.copytree(DJANGO.folder, folder / "site", ignore=shutil.ignore_patterns("__pycache__"))
    for preparation in DJANGO.preparations:
        DJANGO.run(folder, "manage.py", *preparation.split())
    return DJANGO, RUNSERVER, folder / "site" / "tickets" / "views.py"


@pytest.mark.parametrize("prepare", [flask_example, django_example])
def test_an_open_page_comes_back_without_being_loaded_again_and_gets_pushes(
    driver: WebDriver,
    tmp_path: Path,
    prepare: Callable[[Path], tuple[Example, tuple[str, ...], Path]],
) -> None:
    example, words, changed = prepare(tmp_path)
    env = {**example.environment(tmp_path), "HELPDESK_DEBUG": "1", "FLASK_APP": "live_board"}
    with running(tmp_path / "site", words, **env) as server:
        servers.wait_until_answering(server, "/login")
        writer = example.page(driver, server.url, 0)
        reader = Page(driver, server.url)
        eventually(lambda: reader.texts("#status") == ["Live"], "the other window is live")
        reader.front().execute_script(NOTE_STATES)

        change(server, changed)

        eventually(
            lambda: reader.front().execute_script("return states.at(-1)") == "Live",
            "it is live again",
            RETURN_S,
        )
        writer.wait_live(RETURN_S)
        writer.add("Buy a kettle")
        selector = {FLASK: ".card .text", DJANGO: "#open .title"}[example]
        eventually(lambda: "Buy a kettle" in reader.texts(selector), "it is on the other page")
        assert "Reconnecting…" in reader.front().execute_script("return states")
        keep_picture(reader, str(example))
        writer.close()
        assert "Traceback" not in server.log


def documented_shop(folder: Path) -> None:
    """Write the Flask app of docs/legacy.md, changed as told there."""
    blocks = [one for one in blocks_of(servers.ROOT / "docs" / "legacy.md") if one.mark == "file"]
    for name in ("shop.py", "templates/orders.html"):
        before, change = (one.text for one in blocks if one.value == name)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(applied(change, before))


def order(page: Page, text: str) -> None:
    page.front().find_element(By.NAME, "text").send_keys(text + Keys.ENTER)


def test_the_page_of_the_documentation_comes_back_by_itself_and_gets_pushes(
    driver: WebDriver, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    documented_shop(site)
    with running(site, FLASK_RUN, FLASK_APP="shop") as server:
        servers.wait_until_answering(server, "/login")
        writer = Page(driver, f"{server.url}/login")
        writer.front().find_element(By.NAME, "name").send_keys("ada" + Keys.ENTER)
        eventually(lambda: writer.front().title == "Orders", "ada is logged in")
        reader = Page(driver, server.url)
        is_open = "return typeof live === 'object' && live.state === 'open'"
        for page in (writer, reader):
            eventually(lambda page=page: page.front().execute_script(is_open), "the page listens")
            page.front().execute_script(REMEMBER_NEXT_SOCKET)

        change(server, site / "shop.py")

        is_back = "return nextSocket?.readyState === 1"
        for page in (writer, reader):
            eventually(
                lambda page=page: page.front().execute_script(is_back), "it listens again", RETURN_S
            )
        order(writer, "two pears")
        eventually(lambda: "two pears" in reader.texts("li"), "the order is on the other page")
        assert reader.texts("li") == ["two pears"]
        assert reader.front().execute_script(is_back)  # and it was never loaded again
        keep_picture(reader, "shop")
        assert "Traceback" not in server.log
