"""The help desk of examples/django_app: what `test_live_examples.py` doesn't ask of all."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver.common.by import By

from tests.examples.browser import eventually
from tests.support.live_examples import DJANGO, HelpDeskPage

pytestmark = pytest.mark.deadline(60)

EXAMPLE = DJANGO
RETURN_S = 40.0


def test_the_newest_ticket_is_first(open_page):
    ada, grace = open_page(), open_page()

    for title in ("A chair for the hall", "A lamp for the hall"):
        ada.add(title)

    grace.wait_shown("A lamp for the hall")
    assert grace.shown()[:2] == ["A lamp for the hall", "A chair for the hall"]


def test_a_ticket_that_one_has_done_moves_on_the_board_of_the_other(open_page):
    ada, grace = open_page(), open_page()
    ada.add("Water the plants")
    grace.wait_shown("Water the plants")
    count = grace.text("#done").count("Reopen")

    grace.front().find_element(By.CSS_SELECTOR, "#open li button").click()

    eventually(
        lambda: "Water the plants" in ada.texts("#done .title"), "Ada sees it among what is done"
    )
    assert ada.text("section:nth-of-type(2) h2") == f"Done {count + 1}"


def test_who_is_there_is_shown(open_page):
    ada, grace = open_page(), open_page()
    eventually(lambda: ada.text("#present") == "ada, grace", "both are there")

    grace.front().get("about:blank")

    eventually(lambda: ada.text("#present") == "ada", "Grace has left")


def test_a_user_who_is_deactivated_has_to_go(open_page, served_in):
    page = open_page()

    set_active(served_in, False)

    eventually(lambda: page.sees("Log in"), "the page asks for a login")
    set_active(served_in, True)


def set_active(folder: Path, is_active: bool) -> None:
    change = (
        f"from django.contrib.auth.models import User as U; U.objects.update(is_active={is_active})"
    )
    DJANGO.run(folder, "manage.py", "shell", "-c", change)


def test_what_changed_while_the_server_was_away_is_on_the_board_when_it_is_back(browsers, tmp_path):
    with DJANGO.serve(tmp_path) as server:
        page = HelpDeskPage(browsers[0], server.url, 0)
    page.wait_state("waiting")
    change = "from tickets.models import Ticket as T; T.objects.update(title='Changed')"
    DJANGO.run(tmp_path, "manage.py", "shell", "-c", change)

    with DJANGO.serve(tmp_path, server.address[1]):
        page.wait_live(RETURN_S)
        page.wait_shown("Changed")
        page.close()
