"""The request head, read from literal bytes: what is taken, and each way of being refused."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tina4_wsgi.errors import Refused
from tina4_wsgi.server.request_head import (
    HeadLimits,
    HeadReader,
    RequestHead,
    read_head,
    read_whole_head,
)

HOST = b"Host: a\r\n"
GET = b"GET / HTTP/1.1\r\n"
POST = b"POST / HTTP/1.1\r\n" + HOST


def read(data: bytes, max_line_bytes: int = 8_192, max_fields: int = 100) -> RequestHead | None:
    return read_head(io.BytesIO(data).readline, max_line_bytes, max_fields)


def accepted(data: bytes) -> RequestHead:
    head = read(data)
    assert head is not None
    return head


def refused(data: bytes, **limits: int) -> Refused:
    with pytest.raises(Refused) as caught:
        read(data, **limits)
    return caught.value


def test_a_plain_request_is_taken_apart():
    head = accepted(b"GET /a%20b?c=%20d HTTP/1.1\r\nHost: a:80\r\nAccept:  text/html \r\n\r\n")

    assert (head.method, head.target, head.version) == ("GET", "/a%20b?c=%20d", "HTTP/1.1")
    assert (head.path, head.query) == ("/a b", "c=%20d")
    assert head.variables == {"HTTP_HOST": "a:80", "HTTP_ACCEPT": "text/html"}
    assert head.keeps_alive
    assert not head.is_chunked
    assert head.content_length is None


def test_only_the_head_is_read():
    stream = io.BytesIO(GET + HOST + b"\r\nrest")

    read_head(stream.readline, 8_192, 100)

    assert stream.read() == b"rest"


def test_a_stream_that_ends_before_the_head_is_no_request():
    assert read(b"") is None
    assert read(b"\r\n") is None


def test_one_empty_line_before_the_request_is_skipped():
    assert accepted(b"\r\n" + GET + HOST + b"\r\n").method == "GET"


def test_path_bytes_arrive_as_latin_1():
    assert accepted(b"GET /%C3%A9 HTTP/1.1\r\n" + HOST + b"\r\n").path == "/Ã©"


def test_the_type_and_length_of_the_body_have_names_without_prefix():
    head = accepted(POST + b"content-TYPE: text/plain\r\nContent-length: 3\r\n\r\n")

    assert head.variables == {"HTTP_HOST": "a", "CONTENT_TYPE": "text/plain", "CONTENT_LENGTH": "3"}
    assert head.content_length == 3


def test_values_of_a_repeated_field_are_joined():
    head = accepted(GET + HOST + b"X-A: 1\r\nCookie: a=1\r\nx-a: 2\r\nCookie: b=2\r\n\r\n")

    assert head.variables["HTTP_X_A"] == "1,2"
    assert head.variables["HTTP_COOKIE"] == "a=1; b=2"


def test_a_name_with_an_underscore_can_not_stand_in_for_one_with_a_dash():
    head = accepted(
        POST + b"X_Forwarded_For: evil\r\nContent_Length: 5\r\nTransfer_Encoding: chunked\r\n\r\n"
    )

    assert head.variables == {"HTTP_HOST": "a"}
    assert head.content_length is None
    assert not head.is_chunked


def test_the_host_of_an_absolute_target_replaces_the_field():
    head = accepted(b"GET http://b:81/x?y HTTP/1.1\r\n" + HOST + b"\r\n")

    assert (head.path, head.query, head.variables["HTTP_HOST"]) == ("/x", "y", "b:81")


def test_an_absolute_target_without_a_path_asks_for_the_root():
    assert accepted(b"GET http://b?y HTTP/1.1\r\n" + HOST + b"\r\n").path == "/"


def test_options_may_ask_about_the_whole_server():
    assert accepted(b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n").path == "*"


def test_a_higher_minor_version_is_answered_as_1_1():
    assert accepted(b"GET / HTTP/1.7\r\n" + HOST + b"\r\n").version == "HTTP/1.1"


def test_http_1_0_needs_no_host_and_closes():
    head = accepted(b"GET / HTTP/1.0\r\n\r\n")

    assert head.version == "HTTP/1.0"
    assert not head.keeps_alive


@pytest.mark.parametrize(
    ("version", "value", "keeps"),
    [
        (b"1.1", b"close", False),
        (b"1.1", b"Keep-Alive, Close", False),
        (b"1.1", b"keep-alive", True),
        (b"1.1", b"closed", True),
        (b"1.0", b"Keep-Alive", True),
        (b"1.0", b"keep-alive, close", False),
    ],
)
def test_connection_says_whether_another_request_may_follow(version, value, keeps):
    data = b"GET / HTTP/" + version + b"\r\n" + HOST + b"Connection: " + value + b"\r\n\r\n"

    assert accepted(data).keeps_alive is keeps


UPGRADE = b"Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"


def test_an_upgrade_is_recognised_by_its_tokens():
    assert accepted(GET + HOST + UPGRADE + b"\r\n").wants_websocket
    assert accepted(GET + HOST + UPGRADE + b"Content-Length: 0\r\n\r\n").wants_websocket


@pytest.mark.parametrize(
    "data",
    [
        GET + HOST + b"Upgrade: websocket\r\n\r\n",
        GET + HOST + b"Upgrade: websocket\r\nConnection: Upgradeable\r\n\r\n",
        GET + HOST + b"Upgrade: websockets\r\nConnection: Upgrade\r\n\r\n",
        GET + HOST + UPGRADE + b"Content-Length: 5\r\n\r\n",
        GET + HOST + UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n",
        POST + UPGRADE + b"\r\n",
        b"GET / HTTP/1.0\r\n" + HOST + UPGRADE + b"\r\n",
    ],
)
def test_what_is_not_quite_an_upgrade_is_an_ordinary_request(data):
    assert not accepted(data).wants_websocket


def test_chunked_is_taken_in_any_letter_case():
    assert accepted(POST + b"Transfer-Encoding: Chunked\r\n\r\n").is_chunked


def test_continue_is_expected_only_where_a_body_is():
    assert accepted(POST + b"Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n").expects_continue
    assert not accepted(POST + b"Expect: 100-continue\r\n\r\n").expects_continue
    assert not accepted(
        b"POST / HTTP/1.0\r\nExpect: 1\r\nContent-Length: 1\r\n\r\n"
    ).expects_continue


REFUSALS = [
    # Where the body ends
    (
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
        "both Content-Length and Transfer-",
    ),
    (
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        400,
        "both Content-Length and Transfer-",
    ),
    (POST + b"Transfer-Encoding: gzip\r\n\r\n", 400, "Transfer-Encoding is not just chunked"),
    (
        POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        400,
        "Transfer-Encoding is not just chunked",
    ),
    (
        POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n",
        400,
        "Transfer-Encoding is not just chunked",
    ),
    (POST + b"Transfer-Encoding: identity\r\n\r\n", 400, "Transfer-Encoding is not just chunked"),
    (POST + b"Transfer-Encoding: xchunked\r\n\r\n", 400, "Transfer-Encoding is not just chunked"),
    (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n", 400, "header value has a control character"),
    (POST + b"Transfer-Encoding:\r\n\r\n", 400, "Transfer-Encoding is not just chunked"),
    (
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
        "Transfer-Encoding is given twice",
    ),
    (
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
        "Transfer-Encoding needs HTTP/1.1",
    ),
    (
        POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
        400,
        "Content-Length is given twice",
    ),
    (
        POST + b"Content-Length: 5\r\nContent-length: 6\r\n\r\n",
        400,
        "Content-Length is given twice",
    ),
    (POST + b"Content-Length: 5, 5\r\n\r\n", 400, "Content-Length is not a number of bytes"),
    (POST + b"Content-Length: -1\r\n\r\n", 400, "Content-Length is not a number of bytes"),
    (POST + b"Content-Length: +1\r\n\r\n", 400, "Content-Length is not a number of bytes"),
    (POST + b"Content-Length: 1_0\r\n\r\n", 400, "Content-Length is not a number of bytes"),
    (POST + b"Content-Length: 0x5\r\n\r\n", 400, "Content-Length is not a number of bytes"),
    (POST + b"Content-Length: \xb2\r\n\r\n", 400, "Content-Length is not a number of bytes"),
    (POST + b"Content-Length:\r\n\r\n", 400, "Content-Length is not a number of bytes"),
    (
        POST + b"Content-Length: " + b"9" * 19 + b"\r\n\r\n",
        400,
        "Content-Length is not a number of bytes",
    ),
    (POST + b"Content-Type: a/b\r\nContent-Type: c/d\r\n\r\n", 400, "Content-Type is given twice"),
    # Header lines
    (POST + b"Content-Length : 5\r\n\r\n", 400, "space before the colon of a header"),
    (POST + b"X\t: 5\r\n\r\n", 400, "space before the colon of a header"),
    (POST + b"X: 1\r\n 2\r\n\r\n", 400, "header line is continued on the next one"),
    (POST + b"X: 1\r\n\t2\r\n\r\n", 400, "header line is continued on the next one"),
    (GET + b" Host: a\r\n\r\n", 400, "header line is continued on the next one"),
    (POST + b"no colon\r\n\r\n", 400, "header line has no colon"),
    (POST + b": nameless\r\n\r\n", 400, "header name is not a token"),
    (POST + b"X(Y): 1\r\n\r\n", 400, "header name is not a token"),
    (POST + b"X\xe9: 1\r\n\r\n", 400, "header name is not a token"),
    (POST + b"X Y: 1\r\n\r\n", 400, "header name is not a token"),
    (POST + b"X\0: 1\r\n\r\n", 400, "header name is not a token"),
    (POST + b"X: a\0b\r\n\r\n", 400, "header value has a control character"),
    (POST + b"X: a\x7fb\r\n\r\n", 400, "header value has a control character"),
    (POST + b"X: a\rContent-Length: 5\r\n\r\n", 400, "header value has a bare carriage return"),
    (POST + b"X: a\r\r\n\r\n", 400, "header value has a bare carriage return"),
    (POST + b"X: a\nContent-Length: 5\r\n\r\n", 400, "line ends in a bare line feed"),
    (POST + b"\n", 400, "line ends in a bare line feed"),
    # Host
    (GET + b"\r\n", 400, "Host is missing"),
    (GET + HOST + b"host: a\r\n\r\n", 400, "Host is given twice"),
    (b"GET / HTTP/1.0\r\n" + HOST + HOST + b"\r\n", 400, "Host is given twice"),
    (GET + b"Host:\r\n\r\n", 400, "Host is not a host name"),
    (GET + b"Host: a, b\r\n\r\n", 400, "Host is not a host name"),
    (GET + b"Host: a@b\r\n\r\n", 400, "Host is not a host name"),
    (GET + b"Host: a/b\r\n\r\n", 400, "Host is not a host name"),
    (GET + b"Host: a:http\r\n\r\n", 400, "Host is not a host name"),
    (GET + b"Host: ::1\r\n\r\n", 400, "Host is not a host name"),
    (b"GET http://b/ HTTP/1.1\r\n\r\n", 400, "Host is missing"),
    # The request line
    (b"GET /\r\n", 400, "request line is not a method, a target and a version"),
    (b"GET  / HTTP/1.1\r\n", 400, "request line is not a method, a target and a version"),
    (b"GET / HTTP/1.1 \r\n", 400, "request line is not a method, a target and a version"),
    (b"GET /a b HTTP/1.1\r\n", 400, "request line is not a method, a target and a version"),
    (b"GET\t/ HTTP/1.1\r\n", 400, "request line has a control character"),
    (b"GET /\0 HTTP/1.1\r\n", 400, "request line has a control character"),
    (b"GET / HTTP/1.1\r\r\n", 400, "request line has a control character"),
    (b"GET / HTTP/1.1\n", 400, "line ends in a bare line feed"),
    (b"\r\n\r\n" + GET, 400, "request line is not a method, a target and a version"),
    (b"\n" + GET, 400, "line ends in a bare line feed"),
    (b"G(T / HTTP/1.1\r\n", 400, "request method is not a token"),
    (b"G" * 65 + b" / HTTP/1.1\r\n", 400, "request method is not a token"),
    (b"GET /\xc3\xa9 HTTP/1.1\r\n", 400, "request target is not percent-encoded"),
    (b"GET / http/1.1\r\n", 400, "protocol is not HTTP"),
    (b"GET / HTTP/1.10\r\n", 400, "protocol is not HTTP"),
    (b"GET / HTTP/11\r\n", 400, "protocol is not HTTP"),
    (b"GET / \r\n", 400, "protocol version is missing"),
    (b"GET x HTTP/1.1\r\n", 400, "request target is neither a path nor a URL"),
    (b"GET * HTTP/1.1\r\n", 400, "request target is neither a path nor a URL"),
    (b"CONNECT a:443 HTTP/1.1\r\n", 400, "request target is neither a path nor a URL"),
    (b"GET ftp://a/ HTTP/1.1\r\n", 400, "request target is neither a path nor a URL"),
    (b"GET http://u:p@a/ HTTP/1.1\r\n", 400, "request target is neither a path nor a URL"),
    (b"GET http:///x HTTP/1.1\r\n", 400, "request target is neither a path nor a URL"),
    (b"GET /#x HTTP/1.1\r\n", 400, "request target has a fragment"),
    (b"GET / HTTP/2.0\r\n", 505, "only HTTP/1.1 and HTTP/1.0 are spoken here"),
    (b"GET / HTTP/0.9\r\n", 505, "only HTTP/1.1 and HTTP/1.0 are spoken here"),
    (b"PRI * HTTP/2.0\r\n", 505, "only HTTP/1.1 and HTTP/1.0 are spoken here"),
    # The rest
    (POST + b"Expect: 200-ok\r\n\r\n", 417, "Expect is not 100-continue"),
    (b"GET", 400, "request head ended early"),
    (GET, 400, "request head ended early"),
    (GET + HOST, 400, "request head ended early"),
    (GET + b"Host: a\r", 400, "request head ended early"),
]


@pytest.mark.parametrize(("data", "status", "message"), REFUSALS)
def test_a_head_that_can_be_read_in_two_ways_is_refused(data, status, message):
    refusal = refused(data)

    assert refusal.status == status
    assert refusal.message.startswith(message)


@pytest.mark.parametrize(("data", "status", "message"), REFUSALS)
def test_a_refusal_repeats_nothing_of_the_client(data, status, message):
    first_word = data.split(b" ", 1)[0].decode("latin-1")

    assert refused(data).message.isascii()
    assert len(first_word) < 3 or first_word not in refused(data).message


def test_a_line_of_exactly_the_limit_is_taken():
    line = b"GET /" + b"a" * 86 + b" HTTP/1.1\r\n"
    assert len(line) == 100 + 2

    head = read(line + b"Host: " + b"a" * 94 + b"\r\n\r\n", max_line_bytes=100)

    assert head is not None


def test_a_request_line_over_the_limit_is_refused_with_414():
    refusal = refused(b"GET /" + b"a" * 87 + b" HTTP/1.1\r\n" + HOST + b"\r\n", max_line_bytes=100)

    assert (refusal.status, refusal.message) == (414, "request line is too long")


def test_a_header_line_over_the_limit_is_refused_with_431():
    refusal = refused(GET + b"Host: " + b"a" * 95 + b"\r\n\r\n", max_line_bytes=100)

    assert (refusal.status, refusal.message) == (431, "header line is too long")


def test_as_many_fields_as_the_limit_are_taken_and_one_more_is_refused_with_431():
    fields = HOST + b"X: 1\r\n" * 9

    assert read(GET + fields + b"\r\n", max_fields=10) is not None
    refusal = refused(GET + fields + b"X: 1\r\n\r\n", max_fields=10)
    assert (refusal.status, refusal.message) == (431, "too many header fields")


def test_a_bad_request_line_is_refused_before_the_rest_has_come():
    lines = iter([b"GET /\r\n"])

    with pytest.raises(Refused):
        read_head(lambda size: next(lines), 8_192, 100)


@pytest.mark.deadline(5)
def test_a_hostile_line_of_64_kib_is_refused_in_no_time():
    for filler in (b" " * 65_000, b"\t " * 32_500, b"a" * 65_000, b"%" * 65_000):
        with pytest.raises(Refused):
            read(GET + b"X:" + filler + b"\0\r\n\r\n", max_line_bytes=65_536)
        with pytest.raises(Refused):
            read(b"GET /" + filler + b"\0 HTTP/1.1\r\n", max_line_bytes=65_536)


PIECES = [
    *(
        b"GET ",
        b"/",
        b" HTTP/1.1",
        b"\r\n",
        b"Host: a",
        b"\n",
        b":",
        b"\r\n\r\n",
        b" ",
        b"chunked",
        b"http://a",
    ),
    *(b"Content-Length: ", b"Transfer-Encoding: ", b"1", b"POST / HTTP/1.1\r\nHost: a\r\n"),
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=12), st.sampled_from(PIECES)), max_size=12))
def test_any_bytes_are_a_head_or_nothing_or_a_refusal(pieces):
    status = 200
    try:
        head = read(b"".join(pieces), max_line_bytes=64, max_fields=4)
        assert head is None or head.path.startswith("/") or head.path == "*"
    except Refused as refusal:
        status = refusal.status

    assert status in (200, 400, 414, 417, 431, 505)


HEADS = st.lists(
    st.sampled_from(
        [
            GET,
            b"GET http://b/x#y HTTP/1.1\r\n",
            b"POST / HTTP/1.0\r\n",
            b"GET / HTTP/2.0\r\n",
            b"GET /\r\n",
            HOST,
            b"Host: b, c\r\n",
            b"Accept: a\r\n",
            b"Accept: \t b \r\n",
            b"Cookie: a=1\r\n",
            b"X_Y: 1\r\n",
            b" folded\r\n",
            b"Content-Length: 5\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Connection: Upgrade\r\n",
            b"Upgrade: websocket\r\n",
            b"Expect: 100-continue\r\n",
            b"Bare: a\nb: c\r\n",
            b"Long: " + b"a" * 60 + b"\r\n",
            b"No colon\r\n",
            b"\r\n",
        ]
    ),
    max_size=9,
).map(lambda lines: b"".join(lines) + b"\r\n")


def outcome(reading, *args):
    """Give what comes of reading: a head, a refusal, or None."""
    try:
        return reading(*args)
    except Refused as refusal:
        return refusal.status, refusal.message


def in_pieces(data: bytes, sizes: list[int], limits: HeadLimits) -> RequestHead | None:
    reader, waiting = HeadReader(limits), b""
    while data and reader.head is None:
        size = sizes.pop() if sizes else len(data)
        waiting, data = waiting + data[:size], data[size:]
        waiting = waiting[reader.feed(waiting) :]
    if reader.head is None and (waiting or reader.has_begun):
        reader.take(waiting)  # the stream has ended
    return reader.head


@given(HEADS, st.lists(st.integers(1, 20)))
@settings(max_examples=500)
def test_a_head_is_read_alike_by_lines_in_pieces_and_as_a_whole(data, sizes):
    limits = HeadLimits(50, 4, 150)

    by_lines = outcome(lambda: read_head(io.BytesIO(data).readline, 50, 4, 150))
    whole = outcome(read_whole_head, data, limits)

    assert outcome(in_pieces, data, sizes, limits) == by_lines
    if whole is not None:
        assert (whole[0] if isinstance(whole[0], RequestHead) else whole) == by_lines


def test_a_plain_head_is_read_as_a_whole_and_what_follows_is_left():
    head, size = read_whole_head(GET + HOST + b"\r\nrest", HeadLimits(8_192, 100)) or (None, 0)

    assert head == accepted(GET + HOST + b"\r\n")
    assert (GET + HOST + b"\r\nrest")[size:] == b"rest"


@pytest.mark.parametrize("data", [b"", GET, GET + HOST, b"\r\n" + GET + HOST + b"\r\n"])
def test_what_is_not_at_hand_as_a_whole_is_left_to_the_lines(data):
    assert read_whole_head(data, HeadLimits(8_192, 100)) is None


def test_a_hopeless_head_is_refused_before_its_end_has_come():
    with pytest.raises(Refused, match="no colon"):
        HeadReader(HeadLimits(8_192, 100)).feed(GET + b"No colon\r\nHost")


def test_a_line_that_is_too_long_is_refused_before_its_end_has_come():
    with pytest.raises(Refused, match="request line is too long"):
        HeadReader(HeadLimits(10, 100)).feed(b"GET /" + b"a" * 20)
