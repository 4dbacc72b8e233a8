"""The poll of examples/bottle_app: what `test_live_examples.py` doesn't ask of all."""

from __future__ import annotations

import pytest

from tests.examples.browser import eventually
from tests.support.live_examples import BOTTLE, LivePage, unique

pytestmark = pytest.mark.deadline(120)

EXAMPLE = BOTTLE


def test_a_vote_moves_the_bars_on_the_other_page(open_page):
    ada, bob = open_page(), open_page()
    choice = unique("The canteen")

    ada.add(choice)
    for page in (ada, bob):
        page.wait_shown(choice)
    vote(ada, choice)
    eventually(lambda: voters(bob, choice) == [ada.name], "Bob sees Ada's vote")
    vote(bob, choice)

    for page in (ada, bob):
        eventually(
            lambda page=page: voters(page, choice) == [ada.name, bob.name], "both see both votes"
        )
    vote(bob, "Pizza")
    eventually(lambda: voters(ada, choice) == [ada.name], "Ada sees that Bob has changed his mind")
    assert ada.console_errors() == bob.console_errors() == []


def vote(page: LivePage, choice: str) -> None:
    script = (
        "[...document.querySelectorAll('#choices button')].find((one) => one.value === "
        "arguments[0]).click()"
    )
    page.front().execute_script(script, choice)


def voters(page: LivePage, choice: str) -> list[str]:
    script = (
        "return [...document.querySelectorAll('#choices button')].find((one) => one.value === "
        "arguments[0])"
        ".querySelector('.who').textContent"
    )
    return str(page.front().execute_script(script, choice)).split(", ")
