"""A request and its response as gunicorn's hooks and its logger see them."""

from __future__ import annotations

import pytest

from tina4_wsgi.server.request_head import HeadLimits, read_whole_head
from tina4_wsgi.worker.seen import SeenRequest, SeenResponse

DATA = b"""POST /a%20b?c=d HTTP/1.1
Host: a
X-Two-Words: here
Content-Type: text/plain
Content-Length: 0

""".replace(b"\n", b"\r\n")


@pytest.fixture
def head():
    found = read_whole_head(DATA, HeadLimits(1_000, 100))
    assert found is not None
    return found[0]


def seen(head):
    return SeenRequest(head, "https", ("127.0.0.1", 1))


def test_a_request_is_told_as_gunicorn_tells_it(head):
    request = seen(head)

    assert (request.method, request.uri, request.path) == ("POST", "/a%20b?c=d", "/a%20b")
    assert (request.query, request.version, request.scheme) == ("c=d", (1, 1), "https")
    assert (request.remote_addr, request.trailers) == (("127.0.0.1", 1), [])
    assert request.headers == [
        ("HOST", "a"),
        ("X-TWO-WORDS", "here"),
        ("CONTENT-TYPE", "text/plain"),
        ("CONTENT-LENGTH", "0"),
    ]


def test_what_nobody_changed_stays(head):
    variables = dict(head.variables)

    seen(head).give_back(head, seen(head))

    assert (head.path, head.target, head.variables) == ("/a b", "/a%20b?c=d", variables)


def test_what_a_hook_changes_reaches_the_application(head):
    request = seen(head)
    request.headers += [("x-two-words", "there"), ("CONTENT-TYPE", "text/html"), ("A_B", "no")]
    request.path, request.query, request.method = "/other%21", "", "GET"

    request.give_back(head, seen(head))

    assert head.variables["HTTP_X_TWO_WORDS"] == "here,there"
    assert head.variables["CONTENT_TYPE"] == "text/html"
    assert "HTTP_A_B" not in head.variables
    assert (head.path, head.query, head.method) == ("/other!", "", "GET")


def test_a_response_has_its_number_and_its_length():
    response = SeenResponse("404 Not Found", [("X-A", "b")], 12, True, False)

    assert (response.status_code, response.response_length, response.sent) == (404, 12, 12)
    assert response.should_close() is False
