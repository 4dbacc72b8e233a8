"""Heads that are at hand as a whole: taken apart as line by line, or left to that way."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tina4_wsgi.errors import Refused
from tina4_wsgi.server.head_scan import scan_head
from tina4_wsgi.server.request_head import read_head

LIMITS = (8_192, 100, 65_536)
GET = b"GET / HTTP/1.1\r\n"
HOST = b"Host: a\r\n"


def by_lines(data, limits=LIMITS):
    """Give what `read_head` makes of the same bytes, None for a refusal."""
    stream = io.BytesIO(data)
    try:
        head = read_head(stream.readline, *limits)
    except Refused:
        return None
    if head is None:
        return None
    return head.method, head.target, head.version, head.variables, stream.tell()


def test_a_plain_head_is_taken_apart():
    data = b"GET /a?b=%20 HTTP/1.1\r\nHost: a:80\r\nAccept:\t text/html \r\nX-A:\r\n\r\nrest"

    assert scan_head(data, *LIMITS) == (
        "GET",
        "/a?b=%20",
        "HTTP/1.1",
        {"HTTP_HOST": "a:80", "HTTP_ACCEPT": "text/html", "HTTP_X_A": ""},
        len(data) - len(b"rest"),
    )


def test_a_head_without_fields_is_taken_apart():
    assert scan_head(b"GET * HTTP/1.0\r\n\r\n", *LIMITS) == ("GET", "*", "HTTP/1.0", {}, 18)


def test_bytes_beyond_ascii_are_latin_1_in_values_and_nowhere_else():
    scanned = scan_head(GET + b"X-A: \xe9\xff\x80\r\n\r\n", *LIMITS)

    assert scanned is not None
    assert scanned[3] == {"HTTP_X_A": "\xe9\xff\x80"}
    assert scan_head(b"G\xc9T / HTTP/1.1\r\n\r\n", *LIMITS) is None
    assert scan_head(b"GET /\xe9 HTTP/1.1\r\n\r\n", *LIMITS) is None
    assert scan_head(GET + b"X-\xe9: a\r\n\r\n", *LIMITS) is None


def test_a_field_whose_name_has_an_underscore_becomes_no_variable():
    scanned = scan_head(GET + b"X_Real_Ip: 1\r\nX_Real_Ip: 2\r\n\r\n", *LIMITS)

    assert scanned is not None
    assert scanned[3] == {}


def test_every_beginning_of_a_head_is_left_alone():
    whole = GET + HOST + b"Upgrade: websocket\r\nX-A: b\r\n\r\n"

    for size in range(len(whole)):
        assert scan_head(whole[:size], *LIMITS) is None
    assert scan_head(whole, *LIMITS) is not None


@pytest.mark.parametrize("place", range(len(GET + HOST + b"A: b\r\n\r\n")))
def test_any_byte_anywhere_is_taken_as_by_lines_or_left_to_them(place):
    honest = GET + HOST + b"A: b\r\n\r\n"

    for byte in range(256):
        data = honest[:place] + bytes([byte]) + honest[place + 1 :]
        scanned = scan_head(data, *LIMITS)

        if scanned is None:
            assert data != honest
        else:
            assert by_lines(data) in (scanned, None)  # it may be refused for what it says


def test_the_longest_line_is_taken_and_no_longer_one():
    data = GET + b"A: " + b"b" * 97 + b"\r\n\r\n"

    assert scan_head(data, 100, 1, 1_000) is not None
    assert scan_head(data, 99, 1, 1_000) is None
    assert scan_head(data, 13, 1, 1_000) is None


def test_as_many_fields_as_allowed_are_taken_and_no_more():
    data = GET + b"A: b\r\nC: d\r\n\r\n"

    assert scan_head(data, 100, 2, 1_000) is not None
    assert scan_head(data, 100, 1, 1_000) is None


def test_as_many_bytes_as_allowed_are_taken_and_no_more():
    data = GET + b"A: b\r\n\r\n"

    assert scan_head(data, 100, 1, len(data) - 2) is not None
    assert scan_head(data, 100, 1, len(data) - 3) is None


PIECES = st.sampled_from(
    [
        b"GET",
        b" ",
        b"/",
        b"/a%20b",
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"HTTP/2.0",
        b"\r\n",
        b"\r",
        b"\n",
        b"Host",
        b":",
        b": ",
        b"a",
        b"\t",
        b"\x00",
        b"\x7f",
        b"\xe9",
        b"X_Y",
        b"Cookie: a",
        b"\r\n\r\n",
    ]
)


@given(st.lists(PIECES, max_size=14))
@settings(max_examples=1_000)
def test_pieces_in_any_order_are_taken_as_by_lines_or_left_to_them(pieces):
    data = GET + HOST + b"".join(pieces) + b"\r\n\r\n"

    scanned = scan_head(data, *LIMITS)

    if scanned is not None:
        assert by_lines(data) in (scanned, None)
