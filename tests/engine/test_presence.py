"""Who is said to be on a path, and who is sent away."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timezone
from typing import NamedTuple
from uuid import UUID

import pytest

from tests.support.engine_house import House, quiet
from tina4_wsgi.engine import presence
from tina4_wsgi.errors import UsageError


class Account:
    """A login that JSON knows nothing of."""


class Seat(NamedTuple):
    row: str
    number: int


def sent_away(house: House, auth: object) -> list[int]:
    """Ask everybody with this login to go, and say how many went in each process."""
    question = presence.disconnect_question(None, None, auth, 4003, "banned")
    return [answer["closed"] for answer in house.process.ask_all(question)]


@pytest.mark.parametrize(
    ("auth", "shown"),
    [
        (Account(), None),
        ([Account()], None),
        (math.nan, None),
        ({"name": {1, 2}}, None),
        (None, None),
        (("ada", 7), ["ada", 7]),
        (Seat("c", 4), ["c", 4]),
        ({"name": "ada"}, {"name": "ada"}),
        (UUID(int=1), str(UUID(int=1))),
    ],
)
def test_a_login_is_shown_as_json_shows_it_and_else_not_at_all(
    house: House, auth: object, shown: object
) -> None:
    _, connection = house.connect(quiet)
    connection.auth = auth

    assert [member.auth for member in house.process.members("/ws/test")] == [shown]


def test_state_that_json_cannot_show_is_not_shown_by_its_address(
    make_house: Callable[..., House],
) -> None:
    house = make_house(presence_fields=("account", "name"))
    _, connection = house.connect(quiet)
    connection.state.update(account=Account(), name="ada")

    assert [member.state for member in house.process.members("/ws/test")] == [
        {"account": None, "name": "ada"}
    ]


@pytest.mark.parametrize(
    ("meant", "other"),
    [
        (1, True),
        (1, 1.0),
        (True, "true"),
        ("1", 1),
        ({"id": 1}, {"id": True}),
        ([1], [1.0]),
        ("ada", ["ada"]),
    ],
)
def test_only_one_text_of_json_is_the_same_login(
    house: House, meant: object, other: object
) -> None:
    client, connection = house.connect(quiet)
    _, stays_connection = house.connect(quiet)
    connection.auth, stays_connection.auth = meant, other

    assert sent_away(house, meant) == [1]
    assert client.read_close() == 4003
    assert not stays_connection.closed


@pytest.mark.parametrize(
    ("has", "asked"),
    [
        ({"id": 1, "name": "ada"}, {"name": "ada", "id": 1}),
        (("ada", 7), ["ada", 7]),
        ({1: "a"}, {"1": "a"}),
        (UUID(int=1), str(UUID(int=1))),
        ("J\u00fcrgen \ud800", "J\u00fcrgen \ud800"),
        (Seat("c", 4), ("c", 4)),
    ],
)
def test_a_login_is_found_by_its_text_however_it_is_written(
    house: House, has: object, asked: object
) -> None:
    client, connection = house.connect(quiet)
    connection.auth = has

    assert sent_away(house, asked) == [1]
    assert client.read_close() == 4003


@pytest.mark.parametrize(
    "auth", [Account(), [Account()], math.inf, {1, 2}, object, b"ada", {"a": Account()}]
)
def test_a_login_without_a_form_in_json_cannot_be_asked_for(auth: object) -> None:
    with pytest.raises(
        UsageError, match=r"has no form in JSON.*have the route's `auth` give an id"
    ):
        presence.disconnect_question(None, None, auth, 1008, "")


@pytest.mark.parametrize("auth", [Account(), math.nan, None])
def test_a_connection_without_such_a_login_is_never_meant(house: House, auth: object) -> None:
    _, connection = house.connect(quiet)
    connection.auth = auth

    assert [
        sent_away(house, asked) for asked in (repr(auth), "null", "None", "NaN", str(auth))
    ] == [[0]] * 5


@pytest.mark.parametrize(
    "answer",
    [
        {"members": 5},
        {"members": None},
        {"members": {"id": "x"}},
        {"members": [5, None, []]},
        [],
        None,
        "members",
    ],
)
def test_what_is_no_list_of_members_is_left_out(answer: object) -> None:
    assert presence.members_in([answer, {"members": [{"id": "a", "joined_s": 1.0}]}])[0].id == "a"


@pytest.mark.parametrize(
    "joined_s", [1e300, -1e300, math.nan, math.inf, 10**400, "now", None, [], {}]
)
def test_a_time_that_is_none_is_the_beginning_of_1970(joined_s: object) -> None:
    (member,) = presence.members_in([{"members": [{"id": "a", "joined_s": joined_s, "state": 7}]}])

    assert member == ("a", None, {}, datetime(1970, 1, 1, tzinfo=timezone.utc))


@pytest.mark.parametrize("count", [-1, 10**400, 1.5, math.nan, True, "7", None, [7]])
def test_what_is_no_count_is_not_counted(count: object) -> None:
    assert presence.counts_in([{"count": count}, {"count": 2}, [], None]) == 2  # type: ignore[list-item]  # hostile
    assert presence.counts_in([{"closed": count}, {"closed": 2}], "closed") == 2


@pytest.mark.parametrize(
    "question",
    [
        {"code": 1008},
        {"auth": None, "code": 1008},
        {"auth": 5, "code": 1008},
        {"path": "/ws/test", "code": 5},
        {"path": "/ws/test", "code": "1008"},
        {"path": "/ws/test"},
        {"path": "/ws/test", "code": 1008, "reason": 7},
    ],
)
def test_a_question_that_no_disconnect_asks_sends_nobody_away(
    house: House, question: dict[str, object]
) -> None:
    _, connection = house.connect(quiet)

    house.process.answer({"ask": "disconnect", **question})

    assert not connection.closed


def test_sending_nobody_in_particular_away_is_an_error() -> None:
    with pytest.raises(UsageError, match="nobody is meant, expected connection_id, path or auth"):
        presence.disconnect_question(None, None, None, 1000, "")
