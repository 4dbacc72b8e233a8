"""Messages as frames, and frames as messages. `tests/compiled` runs these tests on the module that
is written for C.
"""

from __future__ import annotations

import random

import pytest

from tina4_wsgi.protocol.framing import (
    LONGEST_WHOLE_BYTES,
    bytes_at,
    frame_of,
    text_at,
    text_frame,
)
from tina4_wsgi.protocol.masking import apply_mask

KEY = b"\x37\xfa\x21\x3d"
# Around what the head of a frame says in another way, and around a machine word.
SIZES = [0, 1, 2, 7, 8, 9, 124, 125, 126, 127, 4_099, 65_534, 65_535]
TEXTS = ["", "a", "ascii", "größer", "日本語", "🦉" * 40, "\0", "x" * 65_535, "é" * 32_767]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("start", [4, 6, 8, 11])
def test_bytes_are_unmasked_where_they_lie(size: int, start: int) -> None:
    payload = random.Random(size).randbytes(size)
    raw = b"h" * (start - 4) + KEY + apply_mask(payload, KEY) + b"more"
    before = bytes(bytearray(raw))

    assert bytes_at(raw, start, size) == payload
    assert raw == before


@pytest.mark.parametrize("text", TEXTS)
def test_text_is_unmasked_and_decoded(text: str) -> None:
    payload = text.encode()
    raw = b"\x81\xfe" + KEY + apply_mask(payload, KEY)

    assert text_at(raw, 6, len(payload)) == text


@pytest.mark.parametrize(
    "payload",
    [b"\xff", b"a\x80", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"x" * 999 + b"\xc0"],
)
def test_what_is_no_utf_8_is_no_text(payload: bytes) -> None:
    raw = KEY + apply_mask(payload, KEY)

    with pytest.raises(UnicodeDecodeError):
        text_at(raw, 4, len(payload))


def test_a_text_after_a_bad_one_is_itself_again() -> None:
    with pytest.raises(UnicodeDecodeError):
        text_at(KEY + apply_mask(b"\xff" * 200, KEY), 4, 200)

    assert text_at(KEY + apply_mask(b"good", KEY), 4, 4) == "good"


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x82\x00"),
        (1, b"\x82\x01"),
        (125, b"\x82\x7d"),
        (126, b"\x82\x7e\x00\x7e"),
        (65_535, b"\x82\x7e\xff\xff"),
        (65_536, b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
        (1_000_003, b"\x82\x7f\x00\x00\x00\x00\x00\x0f\x42\x43"),
    ],
)
def test_a_frame_has_its_length_in_the_shortest_form(size: int, head: bytes) -> None:
    payload = b"p" * size

    assert frame_of(0x82, payload) == head + payload


@pytest.mark.parametrize("first", [0x01, 0x81, 0x82, 0x88, 0x89, 0x8A, 0xC1])
def test_a_frame_begins_with_the_byte_that_was_asked_for(first: int) -> None:
    assert frame_of(first, b"ab") == bytes((first, 2)) + b"ab"


@pytest.mark.parametrize("text", [*TEXTS, "x" * 65_536, "ü" * 40_000])
def test_a_text_frame_is_the_frame_of_its_utf_8(text: str) -> None:
    assert text_frame(text) == frame_of(0x81, text.encode())


def test_half_a_surrogate_pair_has_no_frame() -> None:
    with pytest.raises(UnicodeEncodeError):
        text_frame("a\ud800")


def test_the_longest_whole_message_is_the_longest_that_two_bytes_announce() -> None:
    assert LONGEST_WHOLE_BYTES == 0xFFFF
