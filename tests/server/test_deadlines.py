"""Clients that are slow, silent or stuck, and how long our own server bears them."""

from __future__ import annotations

import contextlib
import logging

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from tests.support.deadline import NEVER_S
from tests.support.own_server import ANSWER_S, dial, hello, read_answer, running

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
LIMIT_S = 0.3


def drip(client, data, every_s):
    """Send one byte every so often, until the server has had enough."""
    try:
        for byte in data:
            client.send_bytes(bytes([byte]))
            gevent.sleep(every_s)
    except OSError:
        pass


@contextlib.contextmanager
def not_before_the_limit():
    """Fail when the block is over before a timer for a little less than the limit, which runs from
    its beginning.
    """
    timer = gevent.spawn_later(LIMIT_S * 0.9, bool)
    try:
        yield
        assert timer.ready()
    finally:
        timer.kill()


def read_body(environ, start_response):
    environ["wsgi.input"].read()
    return hello(environ, start_response)


def test_a_client_that_sends_nothing_is_closed_without_a_word(caplog):
    with (
        running(hello, handshake_timeout_s=LIMIT_S, keepalive_timeout_s=NEVER_S) as server,
        not_before_the_limit(),
        dial(server) as client,
    ):
        assert client.read_to_end() == b""
    assert caplog.records == []


def test_a_head_that_stalls_is_answered_408(caplog):
    with running(hello, handshake_timeout_s=LIMIT_S) as server, dial(server) as client:
        client.send_bytes(GET[:-2])

        answer = client.read_to_end()

    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert answer.endswith(b"\r\n\r\nrequest head came too slowly\n")
    assert [one.getMessage() for one in caplog.records] == [
        "refused 408 from 127.0.0.1: request head came too slowly"
    ]


def test_a_head_that_drips_is_cut_all_the_same():
    with running(hello, handshake_timeout_s=LIMIT_S) as server, dial(server) as client:
        dripping = gevent.spawn(
            drip, client, GET[:-2] + b"X: " + b"a" * 8_000, 0.02
        )  # for longer than a test may take
        answer = client.read_to_end()
        dripping.kill()

    assert answer.startswith(b"HTTP/1.1 408 ")


def test_an_idle_connection_is_closed_without_a_word(caplog):
    with (
        running(hello, keepalive_timeout_s=LIMIT_S, handshake_timeout_s=NEVER_S) as server,
        dial(server) as client,
        not_before_the_limit(),
    ):
        client.send_bytes(GET)
        read_answer(client)

        assert client.read_to_end() == b""
    assert [one for one in caplog.records if one.levelno > logging.INFO] == []


def test_the_time_between_requests_is_not_the_time_for_a_head():
    with (
        running(hello, keepalive_timeout_s=NEVER_S, handshake_timeout_s=LIMIT_S) as server,
        dial(server) as client,
    ):
        client.send_bytes(GET)
        read_answer(client)
        gevent.sleep(LIMIT_S * 2)
        client.send_bytes(GET)

        assert read_answer(client)[1] == b"hello"


def test_without_a_time_to_keep_it_each_connection_carries_one_request():
    with running(hello, keepalive_timeout_s=0) as server, dial(server) as client:
        client.send_bytes(GET)

        assert b"\r\nConnection: close\r\n" in client.read_to_end()


def test_a_body_that_stalls_is_answered_408(caplog):
    with running(read_body, handshake_timeout_s=LIMIT_S) as server, dial(server) as client:
        client.send_bytes(POST + b"x")

        answer = client.read_to_end()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert [(one.levelname, one.exc_info) for one in caplog.records] == [("WARNING", None)]


def test_a_body_that_drips_is_cut_all_the_same():
    with running(read_body, handshake_timeout_s=LIMIT_S) as server, dial(server) as client:
        body = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n" + b"x" * 9_998
        dripping = gevent.spawn(drip, client, body, 0.05)  # for longer than a test may take
        answer = client.read_to_end()
        dripping.kill()

    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_body_that_is_slow_but_steady_arrives():
    with running(read_body, handshake_timeout_s=LIMIT_S) as server, dial(server) as client:
        client.send_bytes(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6000\r\n\r\n")
        for _ in range(6):
            gevent.sleep(LIMIT_S / 3)  # 10 000 bytes a second, and twice the limit in all
            client.send_bytes(b"x" * 1_000)

        assert read_answer(client)[1] == b"hello"


def test_time_that_the_application_takes_is_not_the_clients():
    def slow(environ, start_response):
        gevent.sleep(LIMIT_S * 2)
        return read_body(environ, start_response)

    with running(slow, handshake_timeout_s=LIMIT_S) as server, dial(server) as client:
        client.send_bytes(POST + b"x" * 100)

        assert read_answer(client)[1] == b"hello"


def test_an_unread_body_that_stalls_does_not_hold_the_connection():
    with (
        running(hello, handshake_timeout_s=LIMIT_S, keepalive_timeout_s=NEVER_S) as server,
        dial(server) as client,
    ):
        client.send_bytes(POST + b"x")

        assert client.read_to_end().endswith(b"hello")


def test_a_client_that_takes_nothing_of_its_answer_is_cut(caplog):
    has_ended = Event()

    def endless(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            while True:
                yield bytes(65_536)
        finally:
            has_ended.set()

    with running(endless) as server, dial(server) as client:
        server.write_patience_s = LIMIT_S
        client.send_bytes(GET)
        assert has_ended.wait(ANSWER_S)

    assert [one.getMessage() for one in caplog.records] == [
        "cut 127.0.0.1: it takes too little of the response"
    ]


def test_a_client_that_takes_its_answer_slowly_gets_all_of_it():
    size = 4_000_000

    def large(environ, start_response):
        start_response("200 OK", [("Content-Length", str(size))])
        return [bytes(size)]

    with running(large) as server, dial(server) as client:
        server.write_patience_s = LIMIT_S
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        client.send_bytes(GET)
        client.read_head()
        for _ in range(10):
            gevent.sleep(LIMIT_S / 5)  # twice the limit in all
            client.read_exactly(size // 10)


@pytest.mark.deadline(20)
def test_hundreds_of_silent_clients_do_not_delay_an_honest_one():
    with running(hello, handshake_timeout_s=NEVER_S) as server:
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(400)]
        for one in silent:
            one.send(b"GET / HT")
        try:
            with dial(server) as client:
                client.send_bytes(GET)

                assert read_answer(client)[1] == b"hello"
        finally:
            for one in silent:
                one.close()
