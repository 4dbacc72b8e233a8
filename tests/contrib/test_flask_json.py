"""What `send_json` can't write by itself, a Flask app's own JSON provider is asked for."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import json
import math

import pytest
from flask import Flask
from flask.json.provider import DefaultJSONProvider, JSONProvider

from tests.contrib.flask_house import ask, make_app, serving
from tina4_wsgi.contrib.flask import websocket


@dataclasses.dataclass
class Point:
    x: int
    when: datetime.date


class Colour(enum.Enum):
    RED = "red"


class Money:
    def __init__(self, amount):
        self.amount = amount


class Html:
    def __html__(self):
        return "<b>bold</b>"


class ByDefault(DefaultJSONProvider):
    """The usual way: another `default`."""

    @staticmethod
    def default(value):
        if isinstance(value, Money):
            return {"EUR": value.amount}
        if isinstance(value, enum.Enum):
            return value.value
        return DefaultJSONProvider.default(value)


class Encoder(json.JSONEncoder):
    def default(self, value):
        if isinstance(value, set | frozenset):
            return sorted(value)
        return {"EUR": value.amount} if isinstance(value, Money) else super().default(value)


class ByEncoder(DefaultJSONProvider):
    """An encoder class, as before Flask 2.2."""

    def dumps(self, value, **options):
        return json.dumps(value, cls=Encoder)


class ByLibrary(JSONProvider):
    """A library of its own, which gives bytes, as orjson does."""

    def dumps(self, value, **options):
        return json.dumps(value, cls=Encoder).encode()

    def loads(self, text, **options):
        return json.loads(text)


def sent(value, provider: type[JSONProvider] | None = None) -> object:
    """Send a value as JSON to a client, and give what arrives, or the error; the connection must
    survive it.
    """
    app: Flask = make_app()
    if provider is not None:
        app.json = provider(app)

    @websocket(app, "/ws/live")
    def live(connection, event, data):
        if event != "message":
            return
        try:
            connection.send_json({"value": value} if data == "value" else "alive")
        except Exception as exc:  # noqa: BLE001  # it is what the test looks at
            connection.send_json({"value": f"{type(exc).__name__}: {exc}"})

    with serving(app) as house:
        client = house.connect()
        arrived = ask(client, "value")["value"]
        assert ask(client, "still there?") == "alive"
    return arrived


@pytest.mark.parametrize(
    ("value", "provider", "arrives"),
    [
        (Point(1, datetime.date(2026, 1, 2)), None, {"x": 1, "when": "2026-01-02"}),
        (Html(), None, "<b>bold</b>"),
        (Money(3), ByDefault, {"EUR": 3}),
        (
            [Colour.RED, {"deep": [Money(decimal.Decimal("1.50"))]}],
            ByDefault,
            ["red", {"deep": [{"EUR": "1.50"}]}],
        ),
        (Point(1, datetime.date(2026, 1, 2)), ByDefault, {"x": 1, "when": "2026-01-02"}),
        (Money(3), ByEncoder, {"EUR": 3}),
        ({2, 1}, ByEncoder, [1, 2]),
        (Money(3), ByLibrary, {"EUR": 3}),
        (collections.OrderedDict(a=Money(1)), ByLibrary, {"a": {"EUR": 1}}),
    ],
)
def test_types_of_the_app_are_written_by_its_provider(value, provider, arrives):
    assert sent(value, provider) == arrives


@pytest.mark.parametrize("provider", [None, ByDefault, ByEncoder, ByLibrary])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_in_json_is_refused_whatever_the_provider_says(provider, number):
    assert str(sent(number, provider)).startswith("ValueError: ")
    if provider is not None:
        assert str(sent(Money(number), provider)).startswith("ValueError: ")


@pytest.mark.parametrize(
    ("value", "name"), [(object(), "object"), ({1, 2}, "set"), (b"x", "bytes"), (len, "builtin")]
)
def test_what_no_provider_knows_is_refused_by_the_name_of_its_type(value, name):
    assert str(sent(value, ByDefault)).startswith(f"TypeError: {name}")


@pytest.mark.parametrize("value", ["\ud800", {"\udfff": 1}, Money("half \ud83d of it")])
def test_half_a_surrogate_pair_is_refused(value):
    assert "which UTF-8 can't express" in str(sent(value, ByDefault))
