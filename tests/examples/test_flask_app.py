"""The board of examples/flask_app: what `test_live_examples.py` doesn't ask of all."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from selenium.webdriver.common.by import By

from tests.examples.browser import eventually
from tests.support.live_examples import FLASK, PASSWORD, unique

pytestmark = pytest.mark.deadline(60)

EXAMPLE = FLASK
LOG_OUT_S = 40.0


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings of an app that nobody serves."""
    return {**os.environ, **FLASK.variables(tmp_path_factory.mktemp("unserved"))}


def test_a_card_and_its_moves_show_up_on_the_other_page(open_page):
    ada, bob = open_page(), open_page()
    text = unique("write the report")

    ada.add(text)
    bob.wait_shown(text)
    assert bob.text("#note") == f"{ada.name} added “{text}”"
    bob.press("Done", within=bob.card(text))
    eventually(lambda: text in ada.column("done"), "Ada sees it move")
    assert text not in ada.column("todo")
    assert ada.text("#note") == f"{bob.name} moved “{text}” to Done"
    ada.press("Remove", within=ada.card(text))
    eventually(lambda: text not in bob.column("done"), "Bob sees it go")

    assert ada.console_errors() == bob.console_errors() == []


def test_a_draft_and_the_focus_survive_what_others_do(open_page):
    ada, bob = open_page(), open_page()
    bob.fill("#text", "half a thou")

    ada.add(unique("interruption"))
    eventually(lambda: bob.text("#note").startswith(f"{ada.name} added"), "Bob's board changed")
    bob.driver.switch_to.active_element.send_keys("ght")

    assert bob.front().find_element(By.ID, "text").get_property("value") == "half a thought"


def test_a_user_who_is_deactivated_by_the_command_line_is_shown_the_door(open_page, served_in):
    ada = open_page()

    FLASK.run(served_in, "-m", "flask", "--app", "board", "deactivate", ada.name)

    eventually(lambda: ada.sees("Log in"), "the window shows the form", LOG_OUT_S)
    ada.fill("#name", ada.name)
    ada.fill("#password", PASSWORD)
    ada.press("Log in")
    assert ada.texts(".alert") == ["There is no such account, or the password is another."]


def test_it_works_without_a_script(open_page):
    ada = open_page()
    ada.front().execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    ada.front().refresh()
    text = unique("by hand")

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
        "import sys, html; from board import create_app; app = create_app(); name, password = "
        "sys.argv[1:]\n"
        f"app.test_client().post('/join', data={{'name': 'taken', 'password': {PASSWORD!r}}})\n"
        "answer = app.test_client().post('/join', data={'name': name, 'password': password})\n"
        "print(answer.status_code, html.unescape(answer.text))"
    )
    command = [sys.executable, "-W", "error", "-c", script, name, password]
    done = subprocess.run(
        command,
        cwd=FLASK.folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )

    assert done.stdout.startswith("422 ")
    assert why in done.stdout


def test_the_app_says_which_setting_it_lacks():
    command = [sys.executable, "-c", "import board; board.create_app()"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("BOARD_")}
    done = subprocess.run(
        command, cwd=FLASK.folder, env=env, capture_output=True, text=True, timeout=20, check=False
    )

    assert done.returncode == 1
    assert "BOARD_SECRET_KEY is not set" in done.stderr
