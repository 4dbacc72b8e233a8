"""Starting and stopping our own server within one process: what is finished, what is cut, what is
left.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import gevent
import pytest
from gevent import socket, ssl
from gevent.event import Event

from tests.support.deadline import NEVER_S
from tests.support.own_server import ANSWER_S, dial, exchange, hello, read_answer, running
from tests.support.raw import RawClient
from tina4_wsgi.config import Config
from tina4_wsgi.server.server import Server

CERTIFICATE = Path(__file__).parent / "localhost.pem"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
# So a stop that ends has not waited for any of these.
PATIENT = {
    "drain_timeout_s": NEVER_S,
    "handshake_timeout_s": NEVER_S,
    "keepalive_timeout_s": NEVER_S,
}


class Held:
    """An application whose requests wait until they are let go."""

    def __init__(self):
        self.has_begun = Event()
        self.may_end = Event()
        self.ended = []

    def __call__(self, environ, start_response):
        self.has_begun.set()
        try:
            self.may_end.wait()
            return hello(environ, start_response)
        finally:
            self.ended.append(environ["PATH_INFO"])


def started(app, **settings):
    server = Server(app, port=0, config=Config(**{**PATIENT, **settings}))
    server.start()
    return server


@contextlib.contextmanager
def serving_a_held_request(app, **settings):
    """Give a server, and a client whose request the app has begun and holds."""
    server = started(app, **settings)
    with dial(server) as client:
        client.send_bytes(GET)
        app.has_begun.wait()
        yield server, client


def is_refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        return True
    return False


def test_the_port_is_known_once_started_and_free_once_stopped():
    server = started(hello)
    port = server.port

    assert port > 0
    server.stop()
    assert is_refused(port)


def test_serve_forever_returns_when_another_greenlet_has_stopped_the_server():
    server = Server(hello, port=0, config=Config())
    serving = gevent.spawn(server.serve_forever)
    gevent.sleep(0)

    server.stop()

    serving.get(timeout=ANSWER_S)


def test_a_running_request_is_finished_and_its_client_told_to_go():
    app = Held()
    with serving_a_held_request(app) as (server, client):
        stopping = gevent.spawn(server.stop)
        gevent.sleep(0)
        assert not stopping.ready()
        app.may_end.set()

        answer = client.read_to_end()
        stopping.get(timeout=ANSWER_S)

    assert b"\r\nConnection: close\r\n" in answer
    assert answer.endswith(b"hello")


def test_no_connection_is_accepted_while_requests_are_finished():
    app = Held()
    with serving_a_held_request(app) as (server, _):
        stopping = gevent.spawn(server.stop)
        gevent.sleep(0)

        assert is_refused(server.port)
        app.may_end.set()
        stopping.get(timeout=ANSWER_S)


def test_idle_and_half_heard_clients_do_not_hold_up_the_stop(caplog):
    server = started(hello)
    with dial(server) as idle, dial(server) as fresh, dial(server) as half:
        idle.send_bytes(GET)
        read_answer(idle)
        half.send_bytes(GET[:9])
        gevent.sleep(0.05)
        server.stop()

        assert [one.read_to_end() for one in (idle, fresh, half)] == [b"", b"", b""]
    assert [one for one in caplog.records if one.levelno > logging.INFO] == []


def test_a_request_that_has_arrived_is_answered_although_nobody_has_looked_at_it_yet():
    server = started(hello)
    with dial(server) as client:
        client.send_bytes(GET)
        server.stop()

        assert client.read_to_end().endswith(b"hello")


def test_an_idle_tls_connection_is_ended_at_once_and_without_an_alert():
    server = Server(hello, port=0, certfile=CERTIFICATE, config=Config(**PATIENT))
    server.start()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(CERTIFICATE)
    plain = socket.create_connection(("127.0.0.1", server.port), ANSWER_S)
    wire = context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False)
    with RawClient(wire) as client:
        client.send_bytes(GET)
        read_answer(client)
        server.stop()

        assert client.read_to_end() == b""


def test_a_body_that_is_on_its_way_is_still_awaited():
    def read_body(environ, start_response):
        return hello(environ, start_response) if environ["wsgi.input"].read() == b"late" else []

    server = started(read_body)
    with dial(server) as client:
        client.send_bytes(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nla")
        stopping = gevent.spawn(server.stop)
        gevent.sleep(0.05)
        client.send_bytes(b"te")

        assert client.read_to_end().endswith(b"hello")
    stopping.get(timeout=ANSWER_S)


def test_a_request_that_takes_longer_than_the_drain_time_is_cut_and_not_before():
    app = Held()
    with serving_a_held_request(app, drain_timeout_s=0.2) as (server, client):
        gevent.spawn_later(0.15, app.ended.append, "a timer for a little less")
        server.stop()

        assert app.ended == ["a timer for a little less", "/"]
        assert client.read_to_end() == b""


def test_the_application_is_drained_with_the_drain_time_while_requests_finish():
    class Drained(Held):
        timeouts = ()

        def drain(self, timeout_s):
            self.timeouts = (*self.timeouts, timeout_s)
            self.may_end.set()

    app = Drained()
    with serving_a_held_request(app, drain_timeout_s=3) as (server, client):
        server.stop()

        assert client.read_to_end().endswith(b"hello")
    assert app.timeouts == (3,)


def test_a_drain_that_does_not_return_is_given_up():
    given_up = []

    class Stuck:
        __call__ = staticmethod(hello)

        def drain(self, timeout_s):
            try:
                gevent.sleep(NEVER_S)
            finally:
                given_up.append(timeout_s)

    server = started(Stuck(), drain_timeout_s=0.1)

    server.stop()

    assert given_up == [0.1]


def test_a_legacy_websocket_hears_1001_and_its_application_ends():
    ended = []

    def legacy(environ, start_response):
        while environ["wsgi.websocket"].receive() is not None:
            pass
        ended.append(True)
        return []

    legacy.claims_upgrade = lambda environ: False
    server = started(legacy)
    with dial(server) as client:
        client.upgrade("/ws")
        stopping = gevent.spawn(server.stop)
        code = client.read_close()
        client.send_close(code)
        rest = client.read_to_end()
    stopping.get(timeout=ANSWER_S)

    assert (code, rest, ended) == (1001, b"", [True])


def test_stopping_twice_at_once_is_stopping_once():
    app = Held()
    with serving_a_held_request(app) as (server, _):
        stopping = [gevent.spawn(server.stop) for _ in range(2)]
        gevent.sleep(0)
        app.may_end.set()

        assert all(one.ready() for one in gevent.joinall(stopping, timeout=ANSWER_S))
    server.stop()


def test_a_server_that_never_started_stops_without_draining_its_application():
    class Undrained:
        __call__ = staticmethod(hello)

        def drain(self, timeout_s):
            raise AssertionError

    Server(Undrained(), port=0, config=Config()).stop()


def test_a_server_can_be_started_again():
    server = started(hello)
    server.stop()
    server.start()
    try:
        assert exchange(server, b"GET / HTTP/1.0\r\n\r\n").endswith(b"hello")
    finally:
        server.stop()


def test_many_servers_after_one_another_leave_nothing():
    for _ in range(20):
        with running(hello) as server, dial(server) as client:
            client.send_bytes(GET)
            read_answer(client)
    # What is left would be found by the check around every test.


def test_a_taken_port_is_an_error_that_leaves_nothing():
    with running(hello) as server, pytest.raises(OSError, match="in use"):
        Server(hello, port=server.port, config=Config()).start()
