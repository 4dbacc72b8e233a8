"""Requests that our own server refuses on its own: the answer, the end, the log, and that nobody
else notices.
"""

from __future__ import annotations

import pytest

from tests.support.own_server import dial, exchange, read_answer, running

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

REFUSALS = [
    (HEAD + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", b"400 Bad Request"),
    (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", b"400 Bad Request"),
    (HEAD + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n", b"400 Bad Request"),
    (HEAD + b"Content-Length : 0\r\n\r\n", b"400 Bad Request"),
    (HEAD + b"X: 1\r\n 2\r\n\r\n", b"400 Bad Request"),
    (HEAD + b"X: a\0\r\n\r\n", b"400 Bad Request"),
    (HEAD + b"X: 1\n\r\n", b"400 Bad Request"),
    (b"GET / HTTP/1.1\r\n\r\n", b"400 Bad Request"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", b"400 Bad Request"),
    (b"GET /\r\n\r\n", b"400 Bad Request"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", b"400 Bad Request"),
    (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"414 "),
    (HEAD + b"X: " + b"a" * 9_000 + b"\r\n\r\n", b"431 Request Header Fields Too Large"),
    (HEAD + b"X: 1\r\n" * 100 + b"\r\n", b"431 Request Header Fields Too Large"),
    (HEAD + b"Expect: miracles\r\n\r\n", b"417 Expectation Failed"),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", b"505 HTTP Version Not Supported"),
]


@pytest.mark.parametrize(("data", "status"), REFUSALS)
def test_a_bad_head_is_answered_closed_and_logged_once_and_the_application_never_sees_it(
    data, status, caplog
):
    seen = []

    def app(environ, start_response):
        seen.append(environ["PATH_INFO"])
        start_response("200 OK", [("Content-Length", "0")])
        return []

    with running(app) as server, dial(server) as bystander:
        bystander.send_bytes(GET)
        read_answer(bystander)
        answer = exchange(server, data + SMUGGLED)
        bystander.send_bytes(GET)
        read_answer(bystander)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert b"\r\nConnection: close" in head
    assert b"\r\nContent-Length: %d\r\n" % len(body) in head
    assert seen == ["/", "/"]  # the bystander's
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.exc_info is None
    reason = body.decode().rstrip("\n")
    assert record.getMessage() == f"refused {status[:3].decode()} from 127.0.0.1: {reason}"


def test_a_refusal_arrives_although_the_client_keeps_sending():
    with running(lambda environ, start_response: []) as server:
        answer = exchange(server, b"GET /\r\n" + b"x" * 500_000)

    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "lines",
    [b"X: " + b"a" * 3_000 + b"\r\n", b"Cookie: " + b";" * 500 + b"\r\n", b"X-Many: 1\r\n"],
)
def test_a_head_of_lines_that_are_each_short_enough_is_refused_when_all_are_too_long(lines):
    with running(
        lambda environ, start_response: [], max_header_count=2_000, max_head_bytes=8_192
    ) as server:
        answer = exchange(server, HEAD + lines * (12_000 // len(lines)) + b"\r\n")

    assert answer.startswith(b"HTTP/1.1 431 ")
    assert answer.endswith(b"request head is too long\n")


def test_limits_come_from_the_settings():
    with running(
        lambda environ, start_response: [], max_header_count=10, max_header_bytes=1_024
    ) as server:
        assert exchange(server, HEAD + b"X: 1\r\n" * 10 + b"\r\n").startswith(b"HTTP/1.1 431 ")
        assert exchange(server, HEAD + b"X: " + b"a" * 1_030 + b"\r\n\r\n").startswith(
            b"HTTP/1.1 431 "
        )
        assert exchange(server, b"GET /" + b"a" * 1_030 + b" HTTP/1.1\r\n").startswith(
            b"HTTP/1.1 414 "
        )
