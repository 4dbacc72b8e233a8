"""One connection without TLS: heads that come in pieces, and clients that leave amid them."""

from __future__ import annotations

import logging
import socket as native_socket

import gevent
import pytest
from gevent import socket

from tests.support.deadline import NEVER_S
from tests.support.own_server import ANSWER_S, STOP_S, dial, exchange, hello, read_answer, running
from tests.support.raw import TEXT, client_frame, request_head
from tina4_wsgi import App, Router
from tina4_wsgi.server import plain_connection
from tina4_wsgi.server.server import Server

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST_GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"
HANDSHAKE = request_head("/ws", "localhost", "dGhlIHNhbXBsZSBub25jZQ==")


def echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def wait_until(is_so):
    with gevent.Timeout(ANSWER_S, AssertionError("it did not become so")):
        while not is_so():
            gevent.sleep(0.002)


@pytest.mark.parametrize("app", [hello, echo])
def test_a_request_may_come_in_two_pieces_wherever_it_is_cut(app):
    with running(app) as server:
        clients = [dial(server) for _ in range(len(POST) - 1)]
        for size, client in enumerate(clients, 1):
            client.send_bytes(POST[:size])
        wait_until(lambda: len(server.handlers) == len(clients))
        gevent.sleep(0.01)
        for size, client in enumerate(clients, 1):
            client.send_bytes(POST[size:])

            assert client.read_to_end().startswith(b"HTTP/1.1 200 OK\r\n")
            client.close()


def test_a_handshake_may_come_in_two_pieces_wherever_it_is_cut(tmp_path):
    def answer(connection, event, data):
        if event == "message":
            connection.send(data)

    router = Router()
    router.websocket("/ws", answer)
    server = Server(App(router=router, root=tmp_path), port=0)
    server.start()
    data = HANDSHAKE + client_frame(TEXT, b"early")
    try:
        clients = [dial(server) for _ in range(len(data) - 1)]
        for size, client in enumerate(clients, 1):
            client.send_bytes(data[:size])
        gevent.sleep(0.05)
        for size, client in enumerate(clients, 1):
            client.send_bytes(data[size:])

            assert client.read_head().status == 101
            assert client.read_text() == "early"
            client.close()
    finally:
        server.stop(STOP_S)


def test_a_hopeless_head_is_refused_before_the_rest_of_it_has_come(caplog):
    with running(hello, handshake_timeout_s=NEVER_S) as server, dial(server) as client:
        client.send_bytes(b"GET / HTTP/1.1\r\n")
        gevent.sleep(0.01)
        client.send_bytes(b"Host a\r\n")

        assert client.read_to_end().startswith(b"HTTP/1.1 400 ")
    assert caplog.messages == ["refused 400 from 127.0.0.1: header line has no colon"]


def test_a_head_that_is_too_long_is_refused_wherever_it_is_cut():
    line = b"X-Long: " + b"a" * 9_000

    with running(hello, handshake_timeout_s=NEVER_S) as server, dial(server) as client:
        client.send_bytes(GET[:-2])
        for begin in range(0, len(line), 1_000):
            client.send_bytes(line[begin : begin + 1_000])
            gevent.sleep(0.002)

        assert client.read_to_end().startswith(b"HTTP/1.1 431 ")


def test_a_client_that_ends_its_side_amid_a_head_is_told_so(caplog):
    with running(hello) as server, dial(server) as client:
        client.send_bytes(GET[:20])
        client.socket.shutdown(socket.SHUT_WR)

        assert client.read_to_end().startswith(b"HTTP/1.1 400 ")
    assert caplog.messages == ["refused 400 from 127.0.0.1: request head ended early"]


@pytest.mark.parametrize("data", [b"", b"\r\n"])
def test_a_client_that_ends_its_side_before_a_head_is_left_alone(data, caplog):
    with running(hello) as server, dial(server) as client:
        client.send_bytes(data)
        client.socket.shutdown(socket.SHUT_WR)

        assert client.read_to_end() == b""
    assert caplog.messages == []


def test_a_client_that_resets_amid_a_head_leaves_nothing(caplog):
    with running(hello) as server:
        with dial(server) as client:
            client.send_bytes(GET[:20])
            wait_until(lambda: server.handlers)
            client.reset()

        wait_until(lambda: not server.handlers)
    assert caplog.messages == []


def test_the_second_of_two_requests_may_come_in_pieces():
    with running(hello) as server, dial(server) as client:
        client.send_bytes(GET + GET[:10])
        assert read_answer(client)[1] == b"hello"
        client.send_bytes(GET[10:])

        assert read_answer(client)[1] == b"hello"


def test_a_second_request_that_is_refused_follows_the_answer_to_the_first():
    with running(hello) as server:
        answer = exchange(server, GET + b"GET\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"helloHTTP/1.1 400 Bad Request\r\n" in answer


@pytest.mark.parametrize("size", [10, 16, 20])
def test_half_a_second_request_has_the_time_of_a_head(size):
    with (
        running(hello, handshake_timeout_s=0.3, keepalive_timeout_s=NEVER_S) as server,
        dial(server) as client,
    ):
        client.send_bytes(GET + GET[:size])
        assert read_answer(client)[1] == b"hello"

        assert client.read_to_end().startswith(b"HTTP/1.1 408 ")


def test_an_empty_line_behind_a_body_is_no_request(caplog):
    with (
        running(echo, handshake_timeout_s=NEVER_S, keepalive_timeout_s=0.3) as server,
        dial(server) as client,
    ):
        client.send_bytes(POST.replace(b"Connection: close\r\n", b"") + b"\r\n")
        assert read_answer(client)[1] == b"hi"

        assert client.read_to_end() == b""
    assert caplog.messages == []


def test_whole_requests_are_answered_although_the_server_stops_and_half_ones_are_not(caplog):
    with running(hello, handshake_timeout_s=NEVER_S, drain_timeout_s=NEVER_S) as server:
        whole, half, bad = (
            native_socket.create_connection(("127.0.0.1", server.port), ANSWER_S) for _ in range(3)
        )
        with whole, half, bad:
            wait_until(lambda: len(server.handlers) == 3)
            whole.sendall(GET)
            half.sendall(GET[:10])
            bad.sendall(b"GET\r\n\r\n")
            server.stop()

            assert whole.recv(1_000).endswith(b"hello")
            assert (half.recv(10), bad.recv(10)) == (b"", b"")
    assert [one for one in caplog.records if one.levelno > logging.INFO] == []


def test_an_error_of_ours_amid_a_deadline_ends_the_connection_alone(monkeypatch, caplog):
    def fails(self, now_s):
        raise MemoryError

    monkeypatch.setattr(plain_connection.PlainConnection, "on_due", fails)
    with (
        running(hello, handshake_timeout_s=0.1, keepalive_timeout_s=NEVER_S) as server,
        dial(server) as client,
        dial(server) as other,
    ):
        other.send_bytes(GET)
        read_answer(other)

        assert client.read_to_end() == b""
        other.send_bytes(LAST_GET)
        assert other.read_to_end().endswith(b"hello")
    assert caplog.messages == ["an HTTP connection failed"]


def test_an_error_of_ours_amid_a_stop_ends_one_connection_alone(monkeypatch, caplog):
    original = plain_connection.read_whole_head

    def fails_at_times(data, limits):
        if b"/bad" in data:
            raise MemoryError
        return original(data, limits)

    monkeypatch.setattr(plain_connection, "read_whole_head", fails_at_times)
    with running(hello, drain_timeout_s=NEVER_S) as server:
        bad, good = (
            native_socket.create_connection(("127.0.0.1", server.port), ANSWER_S) for _ in range(2)
        )
        with bad, good:
            wait_until(lambda: len(server.handlers) == 2)
            bad.sendall(GET.replace(b"/ ", b"/bad "))
            good.sendall(GET)
            server.stop()

            assert (bad.recv(10), good.recv(1_000)[-5:]) == (b"", b"hello")
    assert caplog.messages == ["an HTTP connection failed"]
