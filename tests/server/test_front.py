"""Many connections at once: what they take while they wait, and who has to wait for whom."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import os
import socket as native_socket
import threading

import gevent
import pytest
from gevent import socket
from gevent.event import Event
from gevent.local import local
from greenlet import getcurrent

from tests.support.deadline import NEVER_S
from tests.support.leaks import count_greenlets
from tests.support.own_server import ANSWER_S, STOP_S, dial, exchange, hello, read_answer, running
from tests.support.raw import RawClient
from tina4_wsgi import App, Router
from tina4_wsgi.hub.loop_poller import LoopPoller
from tina4_wsgi.server import front, plain_connection
from tina4_wsgi.server.server import Server

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST_GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
MANY = 500


def wait_until(is_so):
    with gevent.Timeout(ANSWER_S, AssertionError("it did not become so")):
        while not is_so():
            gevent.sleep(0.002)


@contextlib.contextmanager
def many_clients(server, count=MANY):
    """Plain sockets: the kernel completes the connections, while the server has not looked yet."""
    clients = [
        native_socket.create_connection(("127.0.0.1", server.port), ANSWER_S) for _ in range(count)
    ]
    try:
        yield clients
    finally:
        for client in clients:
            client.close()


@contextlib.contextmanager
def serving(router, tmp_path, **settings):
    server = Server(App(router=router, root=tmp_path, **settings), port=0)
    server.start()
    try:
        yield server
    finally:
        server.stop(STOP_S)


@pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.1\r\nHo"], ids=["silent", "half a head"])
def test_clients_that_have_not_sent_a_request_take_no_greenlets(data):
    with running(hello, handshake_timeout_s=NEVER_S) as server:
        exchange(server, LAST_GET)
        before = count_greenlets()
        with many_clients(server) as clients:
            for client in clients:
                client.sendall(data)
            wait_until(lambda: len(server.handlers) == MANY)

            assert count_greenlets() <= before


def test_clients_between_two_requests_take_no_greenlets():
    with running(hello, keepalive_timeout_s=NEVER_S) as server:
        exchange(server, LAST_GET)
        before = count_greenlets()
        with many_clients(server, 100) as clients:
            for client in clients:
                client.sendall(GET)
            for client in clients:
                socket.wait_read(client.fileno(), ANSWER_S)
                assert client.recv(1_000).endswith(b"hello")

            assert count_greenlets() <= before


def test_handshakes_of_many_clients_take_no_greenlets(tmp_path):
    router = Router()
    router.websocket("/ws", lambda connection, event, data: None)

    with serving(router, tmp_path) as server, dial(server) as first:
        first.upgrade("/ws")
        before = count_greenlets()
        clients = [dial(server) for _ in range(50)]
        for client in clients:
            client.upgrade("/ws")

        assert count_greenlets() <= before + 1  # the worker of the callbacks
        for client in clients:
            client.close()


def test_slow_heads_are_refused_each_on_its_own(caplog):
    with running(hello, handshake_timeout_s=0.3) as server, many_clients(server, 100) as clients:
        for client in clients:
            client.sendall(GET[:-2])
        for client in clients:
            socket.wait_read(client.fileno(), ANSWER_S)
            assert client.recv(1_000).startswith(b"HTTP/1.1 408 ")

    assert set(caplog.messages) == {"refused 408 from 127.0.0.1: request head came too slowly"}
    assert len(caplog.messages) == 100


def test_an_auth_that_waits_keeps_nobody_from_being_let_in(tmp_path):
    asked, may_answer = Event(), Event()

    def auth(request):
        asked.set()
        may_answer.wait()
        return "ada"

    router = Router()
    router.websocket("/slow", lambda connection, event, data: None, auth=auth)
    router.websocket("/quick", lambda connection, event, data: None)
    router.get("/page", lambda request, response: "page")

    with serving(router, tmp_path) as server, dial(server) as slow, dial(server) as quick:
        asking = gevent.spawn(slow.upgrade, "/slow")
        asked.wait(ANSWER_S)
        quick.upgrade("/quick")
        page = exchange(
            server, b"GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )

        assert page.endswith(b"page")
        assert not asking.ready()
        may_answer.set()
        assert asking.get(timeout=ANSWER_S).status == 101


def test_a_request_that_waits_keeps_no_other_of_the_same_batch_waiting():
    may_end = Event()

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/slow":
            may_end.wait()
        return hello(environ, start_response)

    with running(app) as server, many_clients(server, 6) as clients:
        for number, client in enumerate(clients):
            client.sendall(GET.replace(b"/ ", b"/slow ") if number % 2 else GET)
        for client in clients[::2]:
            socket.wait_read(client.fileno(), ANSWER_S)
        may_end.set()
        for client in clients:
            socket.wait_read(client.fileno(), ANSWER_S)

            assert client.recv(1_000).endswith(b"hello")


def test_nothing_that_a_request_leaves_behind_is_found_by_the_next():
    here, context = local(), contextvars.ContextVar("user", default="nobody")
    seen = []

    def app(environ, start_response):
        seen.append((getattr(here, "user", "nobody"), context.get()))
        here.user = "ada"
        context.set("ada")
        getcurrent().user = "ada"
        return hello(environ, start_response)

    with running(app) as server, many_clients(server, 5) as clients:
        for client in clients:
            client.sendall(GET)
        for client in clients:
            socket.wait_read(client.fileno(), ANSWER_S)

    assert seen == [("nobody", "nobody")] * 5


def test_an_error_of_ours_ends_one_connection_alone(monkeypatch, caplog):
    original = plain_connection.read_whole_head

    def fails_at_times(data, limits):
        if b"/bad" in data:
            raise MemoryError
        return original(data, limits)

    monkeypatch.setattr(plain_connection, "read_whole_head", fails_at_times)
    with running(hello) as server, dial(server) as other:
        other.send_bytes(GET)
        read_answer(other)

        assert exchange(server, GET.replace(b"/ ", b"/bad ")) == b""
        other.send_bytes(GET)
        assert read_answer(other)[1] == b"hello"
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR] == [
        "an HTTP connection failed"
    ]


def test_a_stop_ends_requests_that_outlive_it_with_their_finally_blocks():
    ended = []

    def app(environ, start_response):
        try:
            gevent.sleep(NEVER_S)
        finally:
            ended.append(environ["PATH_INFO"])

    with running(app) as server, many_clients(server, 3) as clients:
        for number, client in enumerate(clients):
            client.sendall(GET.replace(b"/ ", b"/%d " % number))
        wait_until(lambda: sum(one.worker is not None for one in server.handlers) == 3)
        server.stop(0.05)

        assert sorted(ended) == ["/0", "/1", "/2"]
        assert [client.recv(10) for client in clients] == [b"", b"", b""]


def test_a_crowd_that_nobody_has_looked_at_yet_is_answered_before_a_stop():
    with running(hello, drain_timeout_s=NEVER_S) as server, many_clients(server, 150) as clients:
        for client in clients:
            client.sendall(GET)
        server.stop()

        assert all(client.recv(1_000).endswith(b"hello") for client in clients)


def test_a_forked_child_leaves_the_connections_to_its_parent():
    with running(hello) as server, dial(server) as client:
        client.send_bytes(GET)
        read_answer(client)
        reads, writes = os.pipe()
        pid = os.fork()
        if not pid:
            os.write(writes, b"%d" % len(server.handlers))
            os._exit(0)
        os.waitpid(pid, 0)
        client.send_bytes(GET)

        assert os.read(reads, 10) == b"0"
        assert read_answer(client)[1] == b"hello"
        os.close(reads)
        os.close(writes)


def test_a_server_may_run_in_any_thread():
    answers = []

    def serve_once():
        with running(hello) as server:
            answers.append(exchange(server, LAST_GET))
        gevent.get_hub().destroy(destroy_loop=True)

    thread = threading.Thread(target=serve_once)
    thread.start()
    thread.join(ANSWER_S)

    assert [one[-5:] for one in answers] == [b"hello"]


def test_where_there_is_no_epoll_clients_are_served_alike(monkeypatch):
    monkeypatch.setattr(front, "poller_for", LoopPoller)

    with running(hello) as server, dial(server) as client:
        for _ in range(3):
            client.send_bytes(GET[:5])
            gevent.sleep(0.002)
            client.send_bytes(GET[5:] + GET)

            assert [read_answer(client)[1] for _ in range(2)] == [b"hello", b"hello"]


def test_a_client_that_leaves_while_its_request_waits_leaves_nothing():
    begun, may_end = Event(), Event()

    def app(environ, start_response):
        begun.set()
        may_end.wait()
        return hello(environ, start_response)

    with running(app) as server:
        with dial(server) as client:
            client.send_bytes(GET)
            begun.wait(ANSWER_S)
            client.reset()
        gevent.sleep(0.01)
        may_end.set()

        wait_until(lambda: not server.handlers)


def test_a_client_that_sends_on_while_its_request_waits_is_answered_later():
    begun, may_end = Event(), Event()

    def app(environ, start_response):
        begun.set()
        may_end.wait()
        return hello(environ, start_response)

    with running(app) as server, dial(server) as client:
        assert isinstance(client, RawClient)
        client.send_bytes(GET)
        begun.wait(ANSWER_S)
        for byte in GET:
            client.send_bytes(bytes([byte]))
            gevent.sleep(0)
        may_end.set()

        assert [read_answer(client)[1] for _ in range(2)] == [b"hello", b"hello"]
