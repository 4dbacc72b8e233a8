"""What a client says of itself, and the marks in front of messages: bytes alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tina4_wsgi.protocol.framing import frame_of, text_frame
from tina4_wsgi.protocol.marks import (
    PRIVATE,
    VOID_FRAME,
    Claim,
    greeting,
    kept_mark,
    marked,
    message_of,
    settled,
    split_frames,
    take_claim,
)

ME = "abcDEF012_-x"


@pytest.mark.parametrize(
    ("query", "rest", "claim"),
    [
        (f"tina4=1.{ME}", "", Claim(ME, "")),
        (f"tina4=1.{ME}.k3x9.0-42", "", Claim(ME, "k3x9.0-42")),
        (f"tina4=1.{ME}.-", "", Claim(ME, "-")),
        (f"tina4=1.{ME}.a.0-1_1-7", "", Claim(ME, "a.0-1_1-7")),
        (f"a=1&tina4=1.{ME}&b=2", "a=1&b=2", Claim(ME, "")),
        (f"tina4=1.{ME}&b=2", "b=2", Claim(ME, "")),
        (f"a=1&tina4=1.{ME}", "a=1", Claim(ME, "")),
    ],
)
def test_the_claim_is_taken_out_of_the_query(query, rest, claim):
    assert take_claim(query) == (rest, claim)


@pytest.mark.parametrize(
    "query",
    ["", "a=1", f"xtina4=1.{ME}", f"a=tina4=1.{ME}", "tina4", "TINA4=1", f"tina4%3D1.{ME}"],
)
def test_a_query_without_the_field_stays_as_it_is(query):
    assert take_claim(query) == (query, None)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1",
        "1.",
        f"2.{ME}",
        f"1.{ME[:-1]}",
        f"1.{ME}x",
        f"1.{ME}.",
        f"1.{ME}.a b",
        f"1.{ME}.a%20",
        f"1.{ME}." + "x" * 257,
        f"1.{ME[:-1]}ä",
        f" 1.{ME}",
        f"1.{ME}\n",
    ],
)
def test_a_claim_that_this_version_does_not_understand_is_taken_out_and_none(value):
    assert take_claim(f"a=1&tina4={value}&b=2") == ("a=1&b=2", None)


@given(st.text(max_size=60))
def test_no_query_raises(query):
    rest, claim = take_claim(query)

    assert claim is None or len(claim.me) == 12
    assert len(rest) <= len(query)


LENGTHS = st.one_of(
    st.integers(0, 300), st.sampled_from([65_530, 65_533, 65_534, 65_535, 65_536, 70_000])
)


@given(LENGTHS, st.sampled_from([0x81, 0x82]), st.sampled_from([PRIVATE, kept_mark(1234567)]))
def test_a_mark_stands_in_front_of_the_message_whatever_its_length(length, first, mark):
    frame = frame_of(first, b"x" * length)

    assert marked(frame, mark) == frame_of(first, mark + b"x" * length)


@given(st.lists(st.tuples(LENGTHS, st.sampled_from([0x81, 0x82])), max_size=6))
def test_frames_side_by_side_are_split_as_they_were(shapes):
    frames = [frame_of(first, b"y" * length) for length, first in shapes]

    assert split_frames(b"".join(frames)) == frames


@pytest.mark.parametrize("length", [0, 125, 126, 65_535, 65_536])
def test_the_message_of_a_frame_is_text_or_bytes(length):
    assert message_of(frame_of(0x81, b"x" * length)) == "x" * length
    assert message_of(frame_of(0x82, b"x" * length)) == b"x" * length


def test_marks_are_the_bytes_that_clients_read():
    assert kept_mark(42) == b"0-42:"
    assert PRIVATE == b":"
    assert VOID_FRAME == b"\x81\x02#:"
    assert greeting(ME, "k.0-1", "y") == text_frame(f"@{ME}.k.0-1.y:")
    assert settled("k.0-1") == b"\x81\x07#k.0-1:"
