"""Patterns of named rooms: which names fit, and what isn't taken as a pattern."""

from __future__ import annotations

import pytest

from tina4_wsgi.errors import RouteError, UsageError
from tina4_wsgi.routing.rooms import Rooms, compiled
from tina4_wsgi.routing.router import Router


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        ("lobby", ["lobby"], ["lobby ", "Lobby", "", "lobbyy"]),
        ("orders:{id}", ["orders:1", "orders:a b", "orders:a:b", "orders:\n"], ["orders:", "o:1"]),
        ("{id}", ["a", "a:b", "ä☃"], [""]),
        ("{shop}:{id}", ["a:b", "a:b:c"], [":b", "a:", "a"]),
        ("{id}.room", ["a.room"], [".room", "a.b.room", "a.rooms"]),
        ("a{x}b{y}c", ["a1b2c"], ["abc", "a1bc"]),
        ("a.b*", ["a.b*"], ["axb*", "a.bb"]),
    ],
)
def test_a_pattern_fits_whole_names(pattern, fits, does_not):
    rooms = Rooms()
    rooms.declare(pattern, {"history": 1})

    assert [name for name in fits if rooms.match(name) is None] == []
    assert [name for name in does_not if rooms.match(name) is not None] == []


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("", "expected a name"),
        (None, "expected a name"),
        (7, "expected a name"),
        ("{", "don't pair up"),
        ("a}", "don't pair up"),
        ("a{b}{", "don't pair up"),
        ("{}", "no proper name"),
        ("{1a}", "no proper name"),
        ("{a b}", "no proper name"),
        ("{a}{b}", "nothing between"),
    ],
)
def test_what_is_no_pattern_is_refused(pattern, says):
    with pytest.raises(UsageError, match=says):
        compiled(pattern)


def test_the_first_pattern_that_fits_counts():
    rooms = Rooms()
    rooms.declare("vip:{id}", {"history": 5})
    rooms.declare("{any}", {"history": 1})

    assert rooms.match("vip:1").options["history"] == 5
    assert rooms.match("x").options["history"] == 1


def test_a_pattern_is_declared_once():
    rooms = Rooms()
    rooms.declare("a", {})

    with pytest.raises(UsageError, match="declared already"):
        rooms.declare("a", {})


def test_a_name_that_a_client_makes_up_is_matched_in_time():
    rooms = Rooms()
    rooms.declare("{a}:{b}:{c}:{d}!", {"history": 1})

    assert rooms.match(":" * 2_000) is None
    assert rooms.match("a:" * 1_000) is None


@pytest.mark.parametrize(
    "options",
    [
        {"history": 0},
        {"history": -1},
        {"history": 20_000},
        {"history": 5, "replay": 6},
        {"history": 5, "history_s": 0},
        {"history": 5, "max_message_bytes": 5},
        {"history": "5"},
    ],
)
def test_a_router_refuses_rooms_with_settings_that_cannot_work(options):
    with pytest.raises(RouteError, match="room 'a' refused"):
        Router().room("a", **options)


def test_a_router_keeps_what_was_declared():
    router = Router()

    router.room("a:{b}", history=5, history_s=60, replay=2)

    (room,) = router.rooms.declared
    assert (room.pattern, room.options) == ("a:{b}", {"history": 5, "history_s": 60, "replay": 2})
