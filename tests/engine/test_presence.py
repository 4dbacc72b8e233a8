"""Who is said to be on a path, and who is sent away."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from tests.support.engine_house import House, quiet, wait_until
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


# What one process answers


def answer(house: House, **question: object) -> dict[str, Any]:
    return presence.answer(dict(question), [house.engine])


def test_connections_are_counted_for_each_path_and_over_all_hubs(house: House) -> None:
    for path in ("/ws/a", "/ws/a", "/ws/b"):
        house.connect(quiet, path)

    assert answer(house, ask="count", path="/ws/a") == {"count": 2}
    assert presence.answer({"ask": "count", "path": "/ws/b"}, [house.engine] * 2) == {"count": 2}
    assert answer(house, ask="count", path="/ws/c") == {"count": 0}


def test_members_are_listed_over_all_hubs(house: House) -> None:
    ids = [house.connect(quiet, path)[1].id for path in ("/ws/a", "/ws/a", "/ws/b")]

    found = presence.answer({"ask": "members", "path": "/ws/a"}, [house.engine] * 2)

    assert [one["id"] for one in found["members"]] == ids[:2] * 2


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"ask": "weather", "path": "/ws/test"},
        {"ask": "count"},
        {"ask": "count", "path": 5},
        {"ask": "members", "path": None},
        {"ask": "members"},
        {"ask": None, "path": "/ws/test", "code": 1008},
        {"path": "/ws/test", "code": 1008, "reason": ""},
        {"ask": "disconnect", "path": 5},
        {"ask": "disconnect", "id": 5},
        {"ask": "disconnect", "path": "/ws/test", "auth": 5},
        {"ask": "disconnect", "path": "/ws/test", "code": True},
        {"ask": "disconnect", "path": "/ws/test", "code": 1000.0},
        {"ask": "disconnect", "path": "/ws/test", "code": 1006},
        {"ask": "disconnect", "code": 1008, "reason": ""},
    ],
)
def test_a_question_that_nobody_of_us_asks_is_not_answered(
    house: House, question: dict[str, Any]
) -> None:
    _, connection = house.connect(quiet)

    assert presence.answer(question, [house.engine]) == {}
    assert not connection.closed


def test_a_disconnect_says_how_many_it_meant_over_all_hubs(house: House) -> None:
    house.connect(quiet)
    house.connect(quiet)
    question = {"ask": "disconnect", "path": "/ws/test", "code": 4000, "reason": "away"}

    assert presence.answer(question, [house.engine] * 2) == {"closed": 4}


def test_without_a_code_or_a_reason_it_is_1008(house: House) -> None:
    client, _ = house.connect(quiet)

    assert answer(house, ask="disconnect", path="/ws/test") == {"closed": 1}
    frame = client.read_frame()
    assert (frame.close_code, frame.payload[2:]) == (1008, b"")


def test_code_and_reason_arrive(house: House) -> None:
    client, _ = house.connect(quiet)

    answer(house, ask="disconnect", path="/ws/test", code=4003, reason="banned")

    frame = client.read_frame()
    assert (frame.close_code, frame.payload[2:]) == (4003, b"banned")


@pytest.mark.parametrize(
    ("wanted", "closed"),
    [
        ({"path": "/ws/a"}, [0, 1]),
        ({"auth": '"ada"'}, [0, 2]),
        ({"path": "/ws/a", "auth": '"ada"'}, [0]),
        ({"id": 1}, [1]),
        ({"id": 1, "path": "/ws/a"}, [1]),
        ({"id": 1, "path": "/ws/b"}, []),
        ({"id": 1, "auth": '"ada"'}, []),
        ({"id": 0, "auth": '"ada"', "path": "/ws/a"}, [0]),
    ],
)
def test_all_that_is_asked_for_must_match(
    house: House, wanted: dict[str, Any], closed: list[int]
) -> None:
    connections = [house.connect(quiet, path)[1] for path in ("/ws/a", "/ws/a", "/ws/b")]
    for connection, auth in zip(connections, ("ada", "bob", "ada"), strict=True):
        connection.auth = auth
    if "id" in wanted:
        wanted = wanted | {"id": connections[wanted["id"]].id}

    assert answer(house, ask="disconnect", **wanted) == {"closed": len(closed)}
    wait_until(lambda: [n for n, one in enumerate(connections) if one.closed] == closed)


def test_who_is_closed_already_is_not_meant_again(house: House) -> None:
    _, connection = house.connect(quiet)
    connection.auth = "ada"
    connection.close()

    assert answer(house, ask="disconnect", auth='"ada"') == {"closed": 0}
    assert answer(house, ask="members", path="/ws/test") == {"members": []}


def test_a_farewell_waits_for_those_whose_login_is_being_looked_up_unless_it_names_an_id(
    house: House,
) -> None:
    noted: list[Any] = []
    house.engine.inquiries.note = lambda *what: noted.append(what)

    answer(house, ask="disconnect", path="/ws/a", code=4003, reason="banned")
    answer(house, ask="disconnect", auth='"ada"')
    answer(house, ask="disconnect", path="/ws/a", id="x")

    assert noted == [((None, 4003, "banned"), "/ws/a"), (('"ada"', 1008, ""), None)]


# What all processes answer


@pytest.mark.parametrize(("count", "counted"), [(1, 1), (10_000_000, 10_000_000), (10_000_001, 0)])
def test_a_count_that_no_process_can_have_is_not_counted(count: int, counted: int) -> None:
    assert presence.counts_in([{"count": count}]) == counted


def test_members_are_sorted_by_when_they_joined_and_then_by_id() -> None:
    told = [{"id": "c", "joined_s": 2.0}, {"id": "b", "joined_s": 1.0}]
    others = [{"id": "a", "joined_s": 2, "auth": 7, "state": {"name": "ada"}}]

    members = presence.members_in([{"members": told}, {"members": others}])

    assert [one.id for one in members] == ["b", "a", "c"]
    assert members[1] == (
        "a",
        7,
        {"name": "ada"},
        datetime(1970, 1, 1, 0, 0, 2, tzinfo=timezone.utc),
    )


@pytest.mark.parametrize("connection_id", [5, None, ["x"]])
def test_an_id_that_is_no_text_is_none(connection_id: object) -> None:
    (member,) = presence.members_in([{"members": [{"id": connection_id}]}])

    assert member.id == ""


def test_a_member_joined_when_it_connected(house: House) -> None:
    _, connection = house.connect(quiet)

    (member,) = house.process.members("/ws/test")

    assert (member.id, member.joined_at) == (connection.id, connection.connected_at)


# What is asked


def test_questions_say_what_they_ask() -> None:
    assert presence.count_question("/a") == {"ask": "count", "path": "/a"}
    assert presence.members_question("/a") == {"ask": "members", "path": "/a"}
    assert presence.disconnect_question("x", "/a", ["ada"], 4000, "away") == {
        "ask": "disconnect",
        "id": "x",
        "path": "/a",
        "auth": '["ada"]',
        "code": 4000,
        "reason": "away",
    }
    assert presence.disconnect_question("x", None, None, 1000, "") == {
        "ask": "disconnect",
        "id": "x",
        "code": 1000,
        "reason": "",
    }


@pytest.mark.parametrize(("code", "reason"), [(1006, ""), (5, "")])
def test_a_code_that_may_not_travel_can_not_be_asked_for(code: int, reason: str) -> None:
    with pytest.raises(UsageError):
        presence.disconnect_question("x", None, None, code, reason)
