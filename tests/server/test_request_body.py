"""The request body, read from literal bytes, as `wsgi.input`."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tina4_wsgi.server.request_body import MAX_DISCARD_BYTES, BodyError, RequestBody

NEXT = b"GET / HTTP/1.1\r\n"


class SlowRaw(io.RawIOBase):
    """Hands out one byte at a time, then times out, breaks or ends."""

    def __init__(self, data: bytes, end: Exception | None = None) -> None:
        self._data = data
        self._end = end

    def readable(self):
        return True

    def readinto(self, buffer):
        if not self._data:
            if self._end is not None:
                raise self._end
            return 0
        buffer[0] = self._data[0]
        self._data = self._data[1:]
        return 1


def of_length(data: bytes, length: int | None) -> RequestBody:
    return RequestBody(io.BufferedReader(io.BytesIO(data)), length, chunked=False)


def chunked(data: bytes) -> RequestBody:
    return RequestBody(io.BufferedReader(io.BytesIO(data)), None, chunked=True)


def fault_of(body: RequestBody) -> BodyError:
    with pytest.raises(BodyError) as caught:
        body.read()
    return caught.value


def test_a_body_ends_where_its_length_says():
    rfile = io.BufferedReader(io.BytesIO(b"hello" + NEXT))
    body = RequestBody(rfile, 5, chunked=False)

    assert body.read() == b"hello"
    assert body.read() == b""
    assert body.readline() == b""
    assert rfile.read() == NEXT


def test_without_a_length_there_is_no_body():
    assert of_length(NEXT, None).read() == b""


def test_a_body_is_read_in_parts():
    body = of_length(b"hello" + NEXT, 5)

    assert [body.read(2), body.read(0), body.read(2), body.read(9), body.read(9)] == [
        b"he",
        b"",
        b"ll",
        b"o",
        b"",
    ]


def test_a_body_is_read_by_lines():
    body = of_length(b"a\nbc\n\nd" + NEXT, 7)

    assert list(body) == [b"a\n", b"bc\n", b"\n", b"d"]


def test_a_line_is_cut_at_the_size_asked_for():
    body = of_length(b"abc\nd\n", 6)

    assert [body.readline(2), body.readline(2), body.readline(2), body.readline()] == [
        b"ab",
        b"c\n",
        b"d\n",
        b"",
    ]


def test_readlines_stops_at_its_hint():
    body = of_length(b"a\nb\nc\n", 6)

    assert body.readlines(3) == [b"a\n", b"b\n"]
    assert body.readlines() == [b"c\n"]


def test_chunks_are_put_together():
    rfile = io.BufferedReader(
        io.BytesIO(b"5\r\nhello\r\n00a; x=y\r\n, world!\nx\r\n0\r\n\r\n" + NEXT)
    )
    body = RequestBody(rfile, None, chunked=True)

    assert body.read() == b"hello, world!\nx"
    assert body.read() == b""
    assert rfile.read() == NEXT


def test_a_line_may_span_chunks():
    body = chunked(b"2\r\nab\r\n3\r\nc\nd\r\n0\r\n\r\n")

    assert list(body) == [b"abc\n", b"d"]


def test_chunks_come_through_byte_by_byte():
    raw = SlowRaw(b"5\r\nhello\r\n2\r\n!!\r\n0\r\nChecksum: 1\r\n\r\n")

    assert RequestBody(io.BufferedReader(raw), None, chunked=True).read() == b"hello!!"


def test_trailers_are_skipped():
    rfile = io.BufferedReader(io.BytesIO(b"0\r\nX: 1\r\nY: 2\r\n\r\n" + NEXT))

    assert RequestBody(rfile, None, chunked=True).read() == b""
    assert rfile.read() == NEXT


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"x\r\n",
        b"-1\r\nh\r\n",
        b"0x5\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"5\nhello\r\n",
        b"5\r\r\nhello\r\n",
        b"5;a\nb\r\nhello\r\n",
        b"5;a\0\r\nhello\r\n",
        b"F" * 16 + b"\r\n",
        b"5;" + b"x" * 300 + b"\r\nhello\r\n",
    ],
)
def test_a_chunk_without_a_clear_size_is_refused(data):
    fault = fault_of(chunked(data))

    assert (fault.status, fault.message) == (400, "chunk of the request body has no valid size")


@pytest.mark.parametrize(
    "data", [b"5\r\nhelloX\r\n0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n", b"5\r\nhello\r0\r\n\r\n"]
)
def test_a_chunk_that_does_not_end_where_it_should_is_refused(data):
    assert fault_of(chunked(data)).message == "chunk of the request body is longer than its size"


@pytest.mark.parametrize(
    "data",
    [
        b"0\r\nno colon\r\n\r\n",
        b"0\r\nX : 1\r\n\r\n",
        b"0\r\nX: 1\n\r\n",
        b"0\r\nX: 1\r\n 2\r\n\r\n",
    ],
)
def test_a_trailer_is_held_to_the_rules_of_header_lines(data):
    assert fault_of(chunked(data)).message == "trailer of the request body is not a header line"


def test_trailers_are_bounded():
    fault = fault_of(chunked(b"0\r\n" + b"X: 1\r\n" * 33 + b"\r\n"))

    assert fault.message == "request body has too many trailers"


@pytest.mark.parametrize(
    "body", [of_length(b"hell", 5), chunked(b"5\r\nhell"), chunked(b"5\r\nhello\r\n")]
)
def test_a_body_that_ends_early_is_an_error_and_not_a_short_body(body):
    fault = fault_of(body)

    assert fault.status == 400
    assert isinstance(fault, OSError)


def test_a_body_that_stalls_is_a_408():
    raw = SlowRaw(b"hell", TimeoutError())

    assert fault_of(RequestBody(io.BufferedReader(raw), 5, chunked=False)).status == 408


def test_a_connection_that_breaks_is_a_400():
    raw = SlowRaw(b"hell", ConnectionResetError())

    assert fault_of(RequestBody(io.BufferedReader(raw), 5, chunked=False)).status == 400


def test_an_error_that_was_swallowed_comes_again_instead_of_what_follows():
    body = chunked(b"x\r\n5\r\nhello\r\n0\r\n\r\n")
    fault_of(body)

    assert fault_of(body).message == "chunk of the request body has no valid size"
    assert not body.is_at_end
    assert not body.discard()


def test_the_client_is_asked_for_the_body_once_and_only_when_it_is_read():
    asked = []
    body = RequestBody(io.BufferedReader(io.BytesIO(b"hello")), 5, False, lambda: asked.append(1))

    assert body.read(0) == b""
    assert asked == []
    body.read(1)
    body.read()
    assert asked == [1]


def test_a_body_that_was_never_asked_for_is_not_waited_for():
    body = RequestBody(io.BufferedReader(io.BytesIO(b"")), 5, False, lambda: None)

    assert not body.is_worth_discarding
    assert not body.discard()


def test_what_is_left_is_dropped_so_that_the_next_request_can_be_read():
    rfile = io.BufferedReader(io.BytesIO(b"5\r\nhello\r\n0\r\n\r\n" + NEXT))
    body = RequestBody(rfile, None, chunked=True)
    body.read(1)

    assert body.discard()
    assert body.is_at_end
    assert rfile.read() == NEXT


def test_a_long_rest_is_not_dropped_but_left():
    size = MAX_DISCARD_BYTES + 1
    block = b"%x\r\n" % 65_536 + bytes(65_536) + b"\r\n"

    assert not of_length(bytes(size), size).discard()
    assert not chunked(block * 5 + b"0\r\n\r\n").discard()


def test_an_announced_length_costs_no_memory():
    body = of_length(b"hello", 10**17)

    assert body.read(5) == b"hello"
    assert fault_of(body).message == "request body ended early"


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=8),
            st.sampled_from(
                [b"\r\n", b"0\r\n", b"1\r\na\r\n", b"5\r\nhello\r\n", b"X: 1\r\n", b";x", b"f\r\n"]
            ),
        ),
        max_size=10,
    )
)
def test_any_bytes_are_a_body_or_an_error(pieces):
    data = b"".join(pieces)

    results = []
    for rfile in (io.BufferedReader(io.BytesIO(data)), io.BufferedReader(SlowRaw(data))):
        try:
            results.append(RequestBody(rfile, None, chunked=True).read())
        except BodyError as exc:
            results.append(exc.message)

    assert results[0] == results[1]
