"""What users see of a connection: what they may call, and nothing else."""

from __future__ import annotations

import inspect
import re
import weakref
from pathlib import Path

import gevent
import pytest

import tina4_wsgi
from tests.support.engine_house import House
from tina4_wsgi.websocket.connection import Connection

MESSAGES = ("send", "send_json", "json", "broadcast", "broadcast_to")
ROOMS = ("join", "leave", "broadcast_to_room", "rooms", "members")
PAST = ("resumed", "position")
END = ("close",)
IDENTITY = [
    "id",
    "path",
    "params",
    "ip",
    "headers",
    "query",
    "cookies",
    "environ",
    "auth",
    "refresh_auth",
    "route",
    "limits",
    "subprotocol",
    "window_bits",
    "connected_at",
]
STATE = ("state", "closed", "close_code", "close_reason")
FACE = (*MESSAGES, *ROOMS, *PAST, *END, *IDENTITY, *STATE)
FIELDS = {"path", "params", "auth", "subprotocol"}


def quiet(connection: Connection, event: str, data: str | bytes) -> None:
    pass


def public(names: list[str]) -> set[str]:
    return {name for name in names if not name.startswith("_")}


def test_completion_shows_what_users_may_call_and_nothing_else(house: House) -> None:
    _, connection = house.connect(quiet)

    assert public(dir(Connection)) == set(FACE)
    assert public(dir(connection)) == set(FACE)


def test_help_shows_them_in_the_order_of_use() -> None:
    source = Path(tina4_wsgi.__file__).parent / "websocket" / "connection.py"
    text = source.read_text()
    places = [text.index(f"    def {name}(") for name in FACE if name not in FIELDS]

    assert places == sorted(places)


@pytest.mark.parametrize("name", sorted(set(FACE) - FIELDS))
def test_each_is_told_with_an_example(name: str) -> None:
    assert "\nExample: `" in (inspect.getdoc(getattr(Connection, name)) or "")


def test_rooms_names_the_rooms_in_the_order_of_joining(house: House) -> None:
    _, connection = house.connect(quiet)
    assert connection.rooms == []

    connection.join("b")
    connection.join("a")
    assert connection.rooms == ["b", "a"]

    connection.leave("b")
    assert connection.rooms == ["a"]


@pytest.mark.parametrize(
    ("excluded", "heard"),
    [
        ({}, ["a", "b", "own"]),
        ({"exclude_self": False}, ["a", "b", "own"]),
        ({"exclude_self": True}, ["own"]),
    ],
)
def test_a_broadcast_is_for_the_speaker_too_unless_it_says_otherwise(
    house: House, excluded: dict[str, bool], heard: list[str]
) -> None:
    client, connection = house.connect(quiet)
    other, member = house.connect(quiet, "/ws/other")
    for one in (connection, member):
        one.join("lobby")

    connection.broadcast("a", **excluded)
    connection.broadcast_to_room("lobby", "b", **excluded)
    connection.send("own")

    assert [client.read_text() for _ in heard] == heard
    assert other.read_text() == "b"


def test_an_id_has_32_digits_and_stays(house: House) -> None:
    _, connection = house.connect(quiet)

    assert re.fullmatch("[0-9a-f]{32}", connection.id)
    assert connection.id == connection.id


def test_a_connection_can_be_referred_to_weakly(house: House) -> None:
    _, connection = house.connect(quiet)
    gevent.sleep(0)

    assert weakref.ref(connection)() is connection


def test_members_are_those_of_its_own_path(house: House) -> None:
    connections = [house.connect(quiet, path)[1] for path in ("/ws/a", "/ws/b", "/ws/a")]

    found = [{member.id for member in one.members()} for one in connections]

    a, b, other = (one.id for one in connections)
    assert found == [{a, other}, {b}, {a, other}]
