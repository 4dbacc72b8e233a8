"""Requests with and without bodies on one connection, and what applications find in an upgrade's
input.
"""

from __future__ import annotations

import threading

import gevent
import pytest
from gevent import socket

from tests.support.own_server import ANSWER_S, dial, exchange, read_answer, running, socket_of
from tests.support.raw import TEXT, client_frame, request_head
from tina4_wsgi.errors import Refused
from tina4_wsgi.hosting import takeover
from tina4_wsgi.protocol import handshake

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST_GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
HANDSHAKE = request_head("/ws", "a", "dGhlIHNhbXBsZSBub25jZQ==")
FRAME = client_frame(TEXT, b"early")


def post(body):
    return b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def ignore(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


@pytest.mark.parametrize("size", [1, 100, 20_000, 100_000])
@pytest.mark.parametrize("then", [GET, post(b"again"), CHUNKED])
def test_requests_right_behind_a_body_are_answered_whoever_reads_it(size, then):
    for app, body in ((echo, b"a" * size), (ignore, b"ok")):
        with running(app) as server, dial(server) as client:
            client.send_bytes(post(b"a" * size) + then + LAST_GET)

            answer = client.read_to_end()
        assert answer.count(b"HTTP/1.1 200 OK") == 3
        assert body in answer


def test_bodies_in_pieces_and_whole_ones_may_take_turns():
    with running(echo) as server, dial(server) as client:
        for _ in range(3):
            for request in (post(b"whole"), CHUNKED, post(b"")):
                client.send_bytes(request[:-1])
                gevent.sleep(0.002)
                client.send_bytes(request[-1:])

                assert read_answer(client)[1] in (b"whole", b"hi", b"")


def test_many_requests_behind_a_chunked_body_are_all_answered():
    with running(echo) as server:
        answer = exchange(server, CHUNKED + GET * 700 + LAST_GET)

    assert answer.count(b"HTTP/1.1 200 OK") == 702


def test_an_answer_that_comes_in_pieces_of_any_type_arrives_whole():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "9")])
        return [b"abc", bytearray(b"def"), b"", memoryview(b"ghi")]

    with running(app) as server:
        assert exchange(server, LAST_GET).endswith(b"\r\n\r\nabcdefghi")


def test_an_answer_may_be_written_by_the_callable_that_start_response_returns():
    def app(environ, start_response):
        write = start_response("200 OK", [("Content-Length", "6")])
        write(b"abc")
        return [b"def"]

    with running(app) as server:
        assert exchange(server, LAST_GET).endswith(b"\r\n\r\nabcdef")


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_an_answer_without_a_body_has_no_length(status):
    def app(environ, start_response):
        start_response(status, [])
        return []

    with running(app) as server:
        answer = exchange(server, LAST_GET)

    assert b"Content-Length" not in answer
    assert b"Transfer-Encoding" not in answer


def test_an_answer_may_be_replaced_until_it_is_sent():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "9")])
        start_response("404 Not Found", [("Content-Length", "2")], (None, None, None))
        return [b"no"]

    with running(app) as server:
        answer = exchange(server, LAST_GET)

    assert answer.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert answer.count(b"Content-Length") == 1


def test_an_error_after_the_answer_has_begun_is_raised_again(caplog):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "4")])(b"ab")
        try:
            raise KeyError("late")
        except KeyError as exc:
            start_response("500 Oh", [], (type(exc), exc, exc.__traceback__))
        return [b"cd"]

    with running(app) as server:
        answer = exchange(server, LAST_GET)

    assert answer.endswith(b"\r\n\r\nab")
    assert [one.exc_info[0] for one in caplog.records if one.exc_info] == [KeyError]


@pytest.mark.parametrize("wrong", [1, b"a", None])
def test_a_header_that_is_no_string_is_a_500(wrong, caplog):
    def app(environ, start_response):
        start_response("200 OK", [("X-A", wrong)])
        return [b"hello"]

    with running(app) as server:
        assert exchange(server, LAST_GET).startswith(b"HTTP/1.1 500 ")


def test_the_date_is_given_once():
    def app(environ, start_response):
        start_response("200 OK", [("Date", "then"), ("Content-Length", "0")])
        return []

    with running(app) as server, running(ignore) as other:
        assert exchange(server, LAST_GET).count(b"Date: ") == 1
        assert exchange(other, LAST_GET).count(b"Date: ") == 1


def as_pywsgi_has_it(environ, start_response):
    """Speak on the socket itself, as applications do that look for it in pywsgi's reader."""
    reader = environ["wsgi.input"]
    wire = reader.raw._sock
    wire.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + reader.read(len(FRAME)))
    wire.sendall(wire.recv(1))
    return []


def test_an_application_finds_the_socket_of_an_upgrade_where_pywsgi_has_it():
    with running(as_pywsgi_has_it) as server, dial(server) as client:
        client.send_bytes(HANDSHAKE + FRAME)
        assert client.read_head().status == 101
        assert client.read_exactly(len(FRAME)) == FRAME
        client.send_bytes(b"x")

        assert client.read_to_end() == b"x"


class Takes:
    """Takes its connections over, and sends each what came right behind its handshake."""

    def __init__(self):
        self.refusals = []

    def __call__(self, environ, start_response):
        try:
            headers = [("Sec-WebSocket-Accept", handshake.check(environ))]
            return takeover.take_over(takeover.find_place(environ), start_response, headers, self)
        except Refused as refusal:
            self.refusals.append(refusal.status)
            start_response(f"{refusal.status} No", [("Content-Length", "0")])
            return []

    def take(self, taken):
        sock = socket_of(taken)
        sock.send(taken.head + taken.early)
        sock.close()

    def give_up(self, answer, nearest):
        self.refusals.append(answer)


@pytest.mark.parametrize("size", [0, 1, 8_000, 16_000, 60_000])
def test_all_that_came_behind_a_handshake_is_handed_over(size):
    early = []

    class Keeps(Takes):
        def take(self, taken):
            early.append(taken)

    with running(Keeps()) as server, dial(server) as client:
        client.send_bytes(HANDSHAKE + b"e" * size)
        with gevent.Timeout(ANSWER_S):
            while not early:
                gevent.sleep(0.002)
        data = early[0].early
        with socket_of(early[0]) as sock:
            while len(data) < size:
                socket.wait_read(sock.fileno(), ANSWER_S)
                data += sock.recv(65_536)

    assert data == b"e" * size


def test_fields_that_a_middleware_adds_are_in_the_answer_to_a_handshake():
    def middleware(environ, start_response):
        def adding(status, headers, exc_info=None):
            return start_response(status, [*headers, ("X-Added", "1")], exc_info)

        return Takes()(environ, adding)

    with running(middleware) as server, dial(server) as client:
        client.send_bytes(HANDSHAKE + FRAME)
        head = client.read_head()

        assert (head.status, head.headers["x-added"]) == (101, "1")
        assert client.read_to_end() == FRAME


def test_a_handshake_that_a_middleware_has_looked_into_is_taken_over_all_the_same():
    def middleware(environ, start_response):
        environ["wsgi.input"].peek(1)
        return Takes()(environ, start_response)

    with running(middleware) as server:
        assert exchange(server, HANDSHAKE + FRAME).endswith(b"\r\n\r\n" + FRAME)


def test_a_handshake_is_answered_once():
    app = Takes()

    def twice(environ, start_response):
        result = app(environ, start_response)
        app(environ, lambda status, headers: None)
        return result

    with running(twice) as server:
        assert exchange(server, HANDSHAKE).startswith(b"HTTP/1.1 101 ")
    assert app.refusals == [500]


def test_a_handshake_is_not_taken_over_in_another_thread():
    app = Takes()

    def in_a_thread(environ, start_response):
        answers = []
        thread = threading.Thread(
            target=lambda: app(environ, lambda status, headers: answers.append(status))
        )
        thread.start()
        thread.join(ANSWER_S)
        start_response(answers[0], [("Content-Length", "0")])
        return []

    with running(in_a_thread) as server:
        assert exchange(server, HANDSHAKE).startswith(b"HTTP/1.1 500 ")
    assert app.refusals == [500]


@pytest.mark.parametrize("peeks", [False, True], ids=["at once", "looked into"])
def test_a_handshake_may_follow_a_body_that_came_in_pieces(peeks):
    def app(environ, start_response):
        if "HTTP_UPGRADE" not in environ:
            return echo(environ, start_response)
        if peeks:
            environ["wsgi.input"].peek(1)
        return Takes()(environ, start_response)

    with running(app) as server, dial(server) as client:
        client.send_bytes(post(b"body")[:-1])
        gevent.sleep(0.01)
        client.send_bytes(b"y")
        assert read_answer(client)[1] == b"body"
        client.send_bytes(HANDSHAKE + FRAME)

        assert client.read_head().status == 101
        assert client.read_to_end() == FRAME


def test_descriptors_that_are_used_again_are_watched_on_their_own():
    late = post(b"body")[:-1], b"y"

    with running(echo) as server:
        for _ in range(3):
            with dial(server) as client:
                for data in (*late, GET, *late, LAST_GET):
                    client.send_bytes(data)
                    gevent.sleep(0.002)

                assert client.read_to_end().count(b"HTTP/1.1 200 OK") == 4
        with gevent.Timeout(ANSWER_S):
            while server.handlers:
                gevent.sleep(0.002)

        assert len(server._front.poller) == 0
