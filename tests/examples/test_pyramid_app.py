"""The help desk of examples/pyramid_app: what `test_live_examples.py` doesn't ask of all."""

from __future__ import annotations

import pytest

from tests.examples.browser import eventually
from tests.support.live_examples import PYRAMID, unique

pytestmark = pytest.mark.deadline(60)

EXAMPLE = PYRAMID


def test_the_first_account_is_the_agents_and_everybody_sees_what_happens(open_page):
    agent, user = open_page(), open_page()
    text = unique("The printer is on fire")

    user.add(text)
    agent.wait_shown(text)
    assert not user.sees("Solved")
    agent.press("Solved")

    eventually(
        lambda: text in user.texts("#tickets .solved .text"), "the user sees that it is solved"
    )
    assert f"{user.name} · solved by {agent.name}" in user.texts("#tickets .who")
    assert agent.console_errors() == user.console_errors() == []
