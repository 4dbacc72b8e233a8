"""What is held while something before it is missing."""

from __future__ import annotations

import pytest

from tina4_wsgi.backplane.envelope import Envelope, Kind
from tina4_wsgi.backplane.redis.held import Holding


def hold(holding, *bodies):
    for body in bodies:
        holding.add("c", Envelope(Kind.KEPT, "", body))


def bodies(held):
    return [envelope.body for _, envelope in held]


def test_what_came_before_the_point_and_behind_it_are_two_parts():
    holding = Holding(100)
    hold(holding, b"one", b"two")
    holding.reach(is_needed=False)
    hold(holding, b"three")

    assert (bodies(holding.take_before()), bodies(holding.take())) == ([b"one", b"two"], [b"three"])
    assert (holding.take_before(), holding.take(), holding.has_lost) == ([], [], False)


def test_too_much_is_let_go_and_that_is_known():
    holding = Holding(5)
    hold(holding, b"one", b"two")

    assert (bodies(holding.take()), holding.has_lost) == ([b"two"], True)


@pytest.mark.parametrize("is_needed", [False, True])
def test_what_was_too_much_before_the_point_counts_only_where_it_will_not_be_read(is_needed):
    holding = Holding(5)
    hold(holding, b"one", b"two")

    holding.reach(is_needed=is_needed)
    hold(holding, b"three")

    assert (bodies(holding.take()), holding.has_lost) == ([b"three"], is_needed)


def test_once_it_is_cleared_it_knows_nothing():
    holding = Holding(5)
    hold(holding, b"one", b"two")
    holding.reach(is_needed=True)
    hold(holding, b"three")

    holding.clear()
    hold(holding, b"four")

    assert (holding.take_before(), holding.has_lost) == ([], False)
    assert bodies(holding.take()) == [b"four"]
