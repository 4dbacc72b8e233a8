"""JSON, written and read."""

from __future__ import annotations

import datetime
import decimal
import uuid

import pytest

from tina4_wsgi import jsontext


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, 2.5, None, True]}, '{"a":[1,2.5,null,true]}'),
        ("Käse 日本", '"Käse 日本"'),
        (datetime.date(2024, 2, 29), '"2024-02-29"'),
        (
            datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.timezone.utc),
            '"2024-02-29T12:30:00+00:00"',
        ),
        (datetime.time(23, 59, 1), '"23:59:01"'),
        (decimal.Decimal("1.10"), '"1.10"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
    ],
)
def test_a_value_is_written(value, text):
    assert jsontext.encode(value) == text
    assert jsontext.encode_bytes(value) == text.encode()


def test_half_a_surrogate_pair_is_written_in_ascii():
    assert jsontext.encode_bytes(["\ud800é"]) == b'["\\ud800\\u00e9"]'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_what_is_no_number_in_json_is_refused(value):
    with pytest.raises(ValueError):
        jsontext.encode(value)


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes"])
def test_what_has_no_form_in_json_is_refused(value):
    with pytest.raises(TypeError, match="has no form in JSON, expected dict"):
        jsontext.encode({"key": value})


def test_a_list_that_holds_itself_is_refused():
    circle: list[object] = []
    circle.append(circle)

    with pytest.raises(ValueError):
        jsontext.encode(circle)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": "\xc3\xa9"}',
        b'\xef\xbb\xbf{"a": "\xc3\xa9"}',
        '{"a": "é"}',
        b' {"a":"\\u00e9"}\n',
    ],
)
def test_json_is_read(body):
    assert jsontext.decode(body) == {"a": "é"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty, expected JSON"),
        (b" \n", "empty, expected JSON"),
        (b'{"a": }', "Expecting value at line 1 column 7"),
        (b"{'a': 1}", "Expecting property name enclosed in double quotes at line 1 column 2"),
        (b"[1]\n[2]", "Extra data at line 2 column 1"),
        (b"\xff", "not UTF-8 at byte 0"),
        (b"NaN", "NaN is not JSON"),
        (b"[-Infinity]", "-Infinity is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_json_is_refused_with_one_line(body, reason):
    with pytest.raises(ValueError) as caught:
        jsontext.decode(body)

    assert str(caught.value) == reason


def test_a_number_of_more_digits_than_python_reads_is_refused():
    with pytest.raises(ValueError):
        jsontext.decode(b"9" * 5000)


class Money:
    def __init__(self, amount):
        self.amount = amount


def stand_in(value):
    if isinstance(value, Money):
        return value.amount
    raise TypeError(f"a {type(value).__name__}?")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"price": Money("EUR 3")}, '{"price":"EUR 3"}'),
        ([Money([Money(1), Money(2)])], "[[1,2]]"),  # a stand-in may hold such types again
        (Money(datetime.date(2024, 2, 29)), '"2024-02-29"'),
    ],
)
def test_an_encoder_writes_the_stand_ins_of_types_that_json_does_not_know(value, text):
    assert jsontext.encoder(stand_in)(value) == text


def test_an_encoder_is_not_asked_about_what_is_written_anyway():
    asked = []
    encode = jsontext.encoder(lambda value: asked.append(value) or "?")

    assert encode([decimal.Decimal("1.10"), uuid.UUID(int=1), datetime.time(1), 1]) == (
        '["1.10","00000000-0000-0000-0000-000000000001","01:00:00",1]'
    )
    assert asked == []


@pytest.mark.parametrize("number", [float("nan"), float("inf"), [float("-inf")]])
def test_a_stand_in_that_is_no_number_in_json_is_refused(number):
    with pytest.raises(ValueError):
        jsontext.encoder(stand_in)(Money(number))


def test_what_no_encoder_knows_is_refused_by_the_name_of_its_type():
    with pytest.raises(
        TypeError,
        match=r"^set has no form in JSON, expected dict, .*JSON encoder knows \(a set\?\)",
    ):
        jsontext.encoder(stand_in)({"key": {1, 2}})


def test_a_stand_in_that_holds_itself_is_refused():
    money = Money(None)
    money.amount = [money]

    with pytest.raises(ValueError):
        jsontext.encoder(stand_in)(money)
