"""Connections that have just been accepted: those with a request are served at once."""

from __future__ import annotations

import errno
import os
import socket as native_socket

import gevent
import pytest
from gevent.event import Event

from tests.support.own_server import ANSWER_S, STOP_S, dial, exchange, hello, read_answer, running
from tina4_wsgi.server import newcomers
from tina4_wsgi.server.plain_connection import PlainConnection

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST_GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def arrive(server, data=b""):
    """Connect and send while the server doesn't look: both are there when it does."""
    client = native_socket.create_connection(("127.0.0.1", server.port))
    client.sendall(data)
    return client


def read_to_end(client):
    data = b""
    client.setblocking(False)
    with client, gevent.Timeout(ANSWER_S):
        while True:
            gevent.socket.wait_read(client.fileno())
            part = client.recv(65_536)
            if not part:
                return data
            data += part


def test_a_request_that_is_there_already_is_answered_without_being_watched_for():
    with running(hello) as server:
        poller, watched = server._front.poller, []
        server._front.poller = Spied(poller, watched)
        clients = [arrive(server, LAST_GET) for _ in range(20)]

        answers = [read_to_end(client) for client in clients]

        server._front.poller = poller
    assert all(answer.endswith(b"hello") for answer in answers)
    assert watched == []


class Spied:
    """A poller that says whom it is to watch."""

    def __init__(self, poller, watched):
        self._poller, self._watched = poller, watched

    def __getattr__(self, name):
        return getattr(self._poller, name)

    def add(self, descriptor, reader):
        self._watched.append(reader)
        self._poller.add(descriptor, reader)


def test_who_has_not_said_anything_yet_or_only_half_of_it_is_waited_for():
    with running(hello) as server:
        mute, half = arrive(server), arrive(server, GET[:10])
        gevent.sleep(0.01)
        mute.sendall(LAST_GET)
        half.sendall(LAST_GET[10:])

        assert read_to_end(mute).endswith(b"hello")
        assert read_to_end(half).endswith(b"hello")


def test_who_has_left_before_anybody_looked_leaves_nothing():
    with running(hello) as server:
        for data in (b"", GET[:10], GET):
            arrive(server, data).close()

        assert exchange(server, LAST_GET).endswith(b"hello")
        assert server._front.connection_count == 0


def test_one_whose_application_waits_holds_up_none_of_those_behind_it():
    may_go_on = Event()

    def waits(environ, start_response):
        if environ["PATH_INFO"] == "/slow":
            may_go_on.wait()
        return hello(environ, start_response)

    with running(waits) as server:
        slow = arrive(server, LAST_GET.replace(b"/", b"/slow", 1))
        quick = [arrive(server, LAST_GET) for _ in range(5)]

        assert all(read_to_end(client).endswith(b"hello") for client in quick)
        may_go_on.set()
        assert read_to_end(slow).endswith(b"hello")


def test_one_that_is_to_be_closed_or_served_by_a_stop_is_left_alone():
    with running(hello) as server:
        server._front._newcomers._look = lambda: None  # the stop comes before the look
        there, mute = arrive(server, GET), arrive(server)
        with gevent.Timeout(ANSWER_S):
            while server._front.connection_count < 2:
                gevent.sleep(0.002)
        server.stop(STOP_S)

        del server._front._newcomers._look
        server._front._newcomers._look()
        assert b"200 OK" in read_to_end(there)
        assert read_to_end(mute) == b""


def test_where_the_kernel_watches_no_more_accepting_pauses(monkeypatch, caplog):
    add = PlainConnection.watch
    left = [None]

    def fail_once(connection):
        if left:
            left.pop()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        add(connection)

    monkeypatch.setattr(PlainConnection, "watch", fail_once)
    with running(hello) as server, dial(server) as refused:
        assert refused.read_to_end() == b""
        with dial(server) as client:
            client.send_bytes(GET)
            assert read_answer(client)[1] == b"hello"

    assert caplog.messages == [
        "no connection can be accepted for now: No space left on device (see ulimit -n)"
    ]


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyboardInterrupt()])
def test_a_bug_of_ours_is_logged_and_ends_no_server(monkeypatch, caplog, error):
    monkeypatch.setattr(newcomers.mishaps, "pass_interrupt_on", lambda hub, error: None)
    with running(hello) as server:
        run_batch = server._front._newcomers._dispatcher

        class Breaks:
            def run_batch(self, batch):
                server._front._newcomers._dispatcher = run_batch
                raise error

        server._front._newcomers._dispatcher = Breaks()
        lost = arrive(server, LAST_GET)
        gevent.sleep(0.01)
        client = arrive(server, LAST_GET)

        assert read_to_end(client).endswith(b"hello")
        assert read_to_end(lost).endswith(b"hello")
    assert "looking at new connections failed" in caplog.text
