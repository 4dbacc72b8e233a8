"""The help desk, a Django project, in a real Chromium under gunicorn: as two people use it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

from tests.examples.browser import DESKTOP, PHONE, Page, chromium, eventually
from tests.support import servers
from tests.support.servers import Server

pytestmark = pytest.mark.deadline(60)

FOLDER = servers.ROOT / "examples" / "django_app"
MARKUP = "<img src=x onerror='window.hacked = true'>"

OpenPage = Callable[..., Page]


def variables(folder: Path) -> dict[str, str]:
    """What its processes are started with."""
    return {"PYTHONPATH": str(servers.ROOT), "HELPDESK_DATABASE": str(folder / "db.sqlite3")}


def manage(folder: Path, *arguments: str) -> None:
    """Run `manage.py`."""
    command = [*servers.PYTHON, "manage.py", *arguments]
    subprocess.run(command, cwd=FOLDER, env={**os.environ, **variables(folder)}, check=True, timeout=60)


@contextlib.contextmanager
def serve_help_desk(folder: Path) -> Iterator[Server]:
    """Run it as its README says, with a new database in `folder`."""
    manage(folder, "migrate", "--verbosity", "0")
    manage(folder, "demo")
    with servers.gunicorn("helpdesk.wsgi", FOLDER, folder / "log", "-w", "1", env=variables(folder)) as server:
        servers.wait_until_answering(server, "/login")
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the database is."""
    return tmp_path_factory.mktemp("help-desk")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """The help desk under gunicorn."""
    with serve_help_desk(folder) as running:
        yield running


@pytest.fixture(scope="module")
def people() -> Iterator[dict[str, WebDriver]]:
    """Two people, each with a browser of their own, since a session is a browser's."""
    with chromium() as ada, chromium() as grace:
        yield {"ada": ada, "grace": grace}


@pytest.fixture
def enter(server: Server, people: dict[str, WebDriver]) -> Iterator[OpenPage]:
    """Log in as somebody and give the board; everybody is logged out at the end."""

    def enter(name: str, **look: object) -> Page:
        page = Page(people[name], server.url, **look)  # type: ignore[arg-type]
        log_in(page, name)
        return page

    first = {name: driver.current_window_handle for name, driver in people.items()}
    yield enter
    for name, driver in people.items():
        driver.delete_all_cookies()
        for window in set(driver.window_handles) - {first[name]}:
            driver.switch_to.window(window)
            driver.close()
        driver.switch_to.window(first[name])


def log_in(page: Page, name: str) -> None:
    """Fill in the form, unless somebody is logged in."""
    if "login" in page.front().current_url:
        page.driver.find_element(By.ID, "id_username").send_keys(name)
        page.driver.find_element(By.ID, "id_password").send_keys("demo" + Keys.ENTER)
        eventually(lambda: page.driver.find_elements(By.ID, "status"), "the board is there")
    page.wait_state("live")


def add(page: Page, title: str) -> None:
    """Add a ticket by the form, which loads the page again."""
    page.front().find_element(By.ID, "id_title").send_keys(title + Keys.ENTER)
    eventually(lambda: title in " ".join(page.texts("#open .title")), f"{title!r} is on the own board")
    page.wait_state("live")


def wait_for_title(page: Page, group: str, title: str) -> None:
    """Wait until a ticket is in one of the lists."""
    eventually(lambda: title in page.texts(f"#{group} .title"), f"{title!r} is among {group}")


def test_a_ticket_of_one_appears_on_the_board_of_the_other(enter):
    ada, grace = enter("ada"), enter("grace")

    add(ada, "A chair for the hall")

    wait_for_title(grace, "open", "A chair for the hall")
    assert grace.texts("#open .title")[0] == "A chair for the hall", "the newest is first"
    assert grace.console_errors() == []


def test_a_ticket_that_one_has_done_moves_on_the_board_of_the_other(enter):
    ada, grace = enter("ada"), enter("grace")
    add(ada, "Water the plants")
    wait_for_title(grace, "open", "Water the plants")
    count = grace.text("#done").count("Reopen")

    grace.front().find_element(By.CSS_SELECTOR, "#open li button").click()

    wait_for_title(ada, "done", "Water the plants")
    assert ada.text("section:nth-of-type(2) h2") == f"Done {count + 1}"


def test_what_somebody_writes_is_text_on_every_board(enter):
    ada, grace = enter("ada"), enter("grace")

    add(ada, MARKUP)

    wait_for_title(grace, "open", MARKUP)
    assert grace.front().execute_script("return window.hacked") is None


def test_who_is_there_is_shown(enter):
    ada, grace = enter("ada"), enter("grace")
    eventually(lambda: ada.text("#present") == "ada, grace", "both are there")

    grace.front().get("about:blank")

    eventually(lambda: ada.text("#present") == "ada", "Grace has left")


def test_a_log_out_in_one_window_ends_the_others(enter, server):
    ada = enter("ada")
    other = Page(ada.driver, server.url)
    other.wait_state("live")

    ada.front().find_element(By.CSS_SELECTOR, "header form button").click()

    eventually(lambda: "login" in other.front().current_url, "the other window asks for a login")


def test_a_user_who_is_deactivated_has_to_go(enter, folder):
    grace = enter("grace")

    manage(folder, "shell", "-c", "from django.contrib.auth.models import User as U; U.objects.update(is_active=False)")

    eventually(lambda: "login" in grace.front().current_url, "the page asks for a login")
    manage(folder, "shell", "-c", "from django.contrib.auth.models import User as U; U.objects.update(is_active=True)")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_board_fits_its_window(enter, size, dark):
    page = enter("ada", size=size, dark=dark)
    add(page, "Pneumonoultramicroscopicsilicovolcanoconiosis" * 2)

    assert page.overflow_px() == 0
    assert page.console_errors() == []


def test_after_the_server_was_away_the_board_is_as_it_should_be(people, tmp_path):
    with serve_help_desk(tmp_path) as server:
        page = Page(people["ada"], server.url)
        log_in(page, "ada")
        port = server.address[1]
    page.wait_state("offline")
    manage(tmp_path, "shell", "-c", "from tickets.models import Ticket as T; T.objects.update(title='Changed')")

    address = f"{servers.LOOPBACK}:{port}"
    command = [*servers.PYTHON, "manage.py", "tina4serve", address, "--noreload"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=FOLDER, env={**os.environ, **variables(tmp_path)}, stdout=log, stderr=log,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    server = Server(process, server.address, tmp_path / "log")
    try:
        page.wait_state("live", patience_s=40)
        wait_for_title(page, "open", "Changed")
    finally:
        people["ada"].get("about:blank")
        server.stop()
