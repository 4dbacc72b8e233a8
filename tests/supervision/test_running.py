"""Signals to `tina4-wsgi serve`: the first one stops it gracefully, the second one at once."""

from __future__ import annotations

import re
import signal
import socket
import subprocess

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support.command import RUN_S, serving
from tests.support.deadline import NEVER_S

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

CHAT = """
from gevent import sleep
from tina4_wsgi import App, Router

@Router.websocket("/ws/{room}")
def chat(connection, event, data):
    if event == "message":
        connection.send(f"{connection.params.room}: {data}")
    if event == "close":
        sleep(0.3)
        print("left", connection.params.room, connection.close_code, flush=True)

@Router.get("/slow")
def slow(request, response):
    print("slow has begun", flush=True)
    sleep(0.5)
    return "done"

app = App()
"""

HELD = """
import gevent

def app(environ, start_response):
    print("has begun", flush=True)
    try:
        while True:
            gevent.sleep(0.1)
            print("goes on", flush=True)
    finally:
        print("is cut", flush=True)
"""

BUSY = """
def app(environ, start_response):
    print("has begun", flush=True)
    while True:
        pass
"""


@pytest.fixture
def patient(monkeypatch):
    """Servers with limits that outlast the test: when one ends, it hasn't waited for any."""
    for limit in ("DRAIN", "HANDSHAKE", "KEEPALIVE"):
        monkeypatch.setenv(f"TINA4_WS_{limit}_TIMEOUT_S", str(NEVER_S))


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_websockets_hear_1001_and_close_callbacks_and_requests_finish(tmp_path, how):
    (tmp_path / "wsgi.py").write_text(CHAT)

    with (
        serving(tmp_path) as server,
        connect(f"ws://127.0.0.1:{server.address[1]}/ws/a") as websocket,
    ):
        websocket.send("hi")
        assert websocket.recv(timeout=RUN_S) == "a: hi"
        with socket.create_connection(server.address, RUN_S) as client:
            client.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            server.wait_for_log("slow has begun")
            server.process.send_signal(how)
            with pytest.raises(ConnectionClosed) as closed:
                websocket.recv(timeout=RUN_S)
            with client.makefile("rb") as answer:
                assert answer.read().endswith(b"done")

        assert server.process.wait(RUN_S) == 0
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        server.wait_for_log("left a 1001")


def test_a_request_without_end_is_cut_after_the_drain_time(tmp_path, monkeypatch):
    monkeypatch.setenv("TINA4_WS_DRAIN_TIMEOUT_S", "0.5")
    (tmp_path / "wsgi.py").write_text(HELD)

    with serving(tmp_path) as server, socket.create_connection(server.address, RUN_S) as client:
        client.sendall(GET)
        server.wait_for_log("has begun")
        server.process.send_signal(signal.SIGTERM)

        assert server.process.wait(RUN_S) == 0
        assert re.search(r"stopping within 0\.5 s;.*\n(goes on\n)+is cut\n", server.log)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_ends_it_at_once(tmp_path, how, code):
    (tmp_path / "wsgi.py").write_text(HELD)

    with serving(tmp_path) as server, socket.create_connection(server.address, RUN_S) as client:
        client.sendall(GET)
        server.wait_for_log("has begun")
        server.process.send_signal(how)
        server.wait_for_log("stopping within 600 s")
        server.process.send_signal(how)

        assert server.process.wait(RUN_S) == code


@pytest.mark.usefixtures("patient")
def test_a_second_signal_ends_it_even_while_user_code_never_lets_go(tmp_path):
    (tmp_path / "wsgi.py").write_text(BUSY)

    with serving(tmp_path) as server, socket.create_connection(server.address, RUN_S) as client:
        client.sendall(GET)
        server.wait_for_log("has begun")
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(0.5)
        server.process.send_signal(signal.SIGTERM)

        assert server.process.wait(RUN_S) == 143


@pytest.mark.usefixtures("patient")
def test_an_idle_server_stops_at_once(tmp_path):
    (tmp_path / "wsgi.py").write_text(CHAT)

    with serving(tmp_path) as server, socket.create_connection(server.address, RUN_S):
        assert server.stop() == 0


SELF_STOPPING = """
import signal

from gevent.monkey import get_original

def app(environ, start_response):
    get_original("_thread", "start_new_thread")(stop_from_here, ())
    start_response("200 OK", [("Content-Length", "0"), ("Connection", "close")])
    return []

def stop_from_here():
    get_original("time", "sleep")(0.2)  # the hub waits by then
    signal.pthread_kill(get_original("_thread", "get_ident")(), signal.SIGTERM)
"""


def test_a_signal_that_does_not_interrupt_the_waiting_hub_still_stops_the_server(tmp_path):
    """As one that comes just before the hub begins to wait: the kernel wakes nobody for it."""
    (tmp_path / "wsgi.py").write_text(SELF_STOPPING)

    with serving(tmp_path) as server:
        with socket.create_connection(server.address) as client:
            client.sendall(GET)
            client.recv(1_000)
        assert server.process.wait(RUN_S) == 0
