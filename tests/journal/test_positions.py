"""The text of a position, and what is made of texts that are none."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tina4_wsgi.journal.positions import VOID, Position, new_epoch, parse

NONE = Position("", 0)


def test_a_position_is_its_epoch_and_the_number_of_shard_0():
    assert str(Position("k3x9Qz1a", 42)) == "k3x9Qz1a.0-42"
    assert parse("k3x9Qz1a.0-42") == Position("k3x9Qz1a", 42)


def test_a_position_of_no_epoch_is_void():
    assert str(NONE) == VOID == "-"
    assert parse(VOID) == NONE


def test_of_several_shards_the_first_counts():
    assert parse("abc.0-42_1-7") == Position("abc", 42)
    assert parse("abc.1-7_0-42") == Position("abc", 42)


def test_a_position_without_shard_0_is_none():
    assert parse("abc.1-7") == NONE
    assert parse("abc.00-7") == NONE


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "abc",
        "abc.",
        "abc.0",
        "abc.0-",
        "abc.-1",
        "abc.0-1_",
        "abc.0-1_1",
        "abc.0-1 ",
        " abc.0-1",
        "abc.0-1\n",
        "a.b.0-1",
        ".0-1",
        "abc.0-+1",
        "abc.0-1e3",
        "x" * 33 + ".0-1",
    ],
)
def test_rubbish_is_no_position(text):
    assert parse(text) == NONE


def test_a_number_that_no_journal_reaches_is_none():
    assert parse("abc.0-" + "9" * 18) == Position("abc", 10**18 - 1)
    assert parse("abc.0-" + "9" * 19) == NONE


def test_digits_are_those_of_ascii():
    assert parse("abc.0-٣") == NONE


@given(st.text(max_size=50))
@example("x.0-1")
def test_no_text_raises(text):
    found = parse(text)

    assert found == NONE or text.startswith(found.epoch + ".")


@given(st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True), st.integers(0, 10**18 - 1))
def test_what_is_written_is_read(epoch, number):
    assert parse(str(Position(epoch, number))) == Position(epoch, number)


def test_epochs_differ_and_fit_into_a_position():
    epochs = {new_epoch() for _ in range(100)}

    assert len(epochs) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{8}", epoch) for epoch in epochs)
