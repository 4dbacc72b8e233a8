"""WebSockets under servers that know nothing of gevent, in processes that nothing is patched in:
Werkzeug's, wsgiref's, Django's `runserver` and waitress.
"""

from __future__ import annotations

import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import native_hosts
from tests.support.native_hosts import APPS, KINDS, connect, dial, get
from tests.support.raw import MASK, TEXT, client_frame, request_head
from tests.support.servers import POLL_S, Server

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 §1.3
SURROUNDED = APPS.parents[1] / "hosts" / "apps"
GOING_AWAY = re.compile(rb"\x03\xe9going away; retry in \d+ ms")
NOISE = ("Traceback", "Exception", "rror", "ResourceWarning", "ClientDisconnected")
PASSING = (
    "nothing",
    "iterating",
    "joining",
    "collecting",
    "beginning_late",
    "without_write",
    "closing_twice",
    "never_iterating",
    "peeking",
    "tracing",
    "wrapping",
    "in_a_greenlet",
    "in_a_native_thread",
    "compressing",
    "rewriting",
    "by_webob",
    "by_webob_with_a_cookie",
    "by_werkzeugs_profiler",
)
IN_PLACE = (
    ("forbidding", 403),
    ("changing_the_status", 200),
    ("failing_behind", 500),
    ("failing_in_the_body", 500),
)


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def plain(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log_path = tmp_path_factory.mktemp("plain") / "log"
    with native_hosts.serving(kind, "plain:app", log_path) as server:
        yield server


@pytest.fixture(scope="module")
def surrounded(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log_path = tmp_path_factory.mktemp("around") / "log"
    with native_hosts.serving(kind, "surrounded:surrounded", log_path, folder=SURROUNDED) as server:
        yield server


def test_no_descriptor_is_left(kind, plain):
    """The first of all tests, since connections of others would still be closing."""
    with connect(kind, plain, "/ws/echo") as one:  # and with it whatever there is once
        one.send_text("hello")
        assert one.read_text() == "hello"
        before = count_descriptors(kind, plain)
        for _ in range(10):
            with connect(kind, plain, "/ws/echo") as client:
                client.send_close()
                assert client.read_close() == 1000
                assert client.read_to_end() == b""

        while count_descriptors(kind, plain) > before:  # until the deadline of a test
            time.sleep(POLL_S)


def count_descriptors(kind: str, server: Server) -> int:
    return int(get(kind, server, "/descriptors")[1])


def test_the_101_is_that_of_any_other_server(kind, plain):
    """But for the fields that the server adds to all of its answers."""
    head = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + ACCEPT.encode() + b"\r\n"
    )
    with dial(kind, plain) as client:
        client.send_bytes(request_head("/ws/echo", "localhost", KEY))

        assert client.read_exactly(len(head)) == head
        line = b""
        while line != b"\r\n":
            line += client.read_exactly(1)
            if line.endswith(b"\r\n") and line != b"\r\n":
                assert line.startswith((b"Date: ", b"Server: "))
                line = b""


def test_frames_in_the_packet_of_the_handshake_are_read(kind, plain):
    with dial(kind, plain) as client:
        frames = client_frame(TEXT, b"one") + client_frame(TEXT, b"two" * 1_000)
        client.send_bytes(request_head("/ws/echo", "localhost", KEY) + frames)

        assert client.read_head().status == 101
        assert [client.read_text(), client.read_text()] == ["one", "two" * 1_000]


def test_early_bytes_with_an_empty_line_in_them_are_read_or_the_client_is_refused(kind, plain):
    """Waitress takes them for requests."""
    key = bytes(4)
    with dial(kind, plain) as client:
        frame = client_frame(TEXT, b"GET / HTTP/1.1\r\n\r\nabc", mask=key)
        client.send_bytes(request_head("/ws/echo", "localhost", KEY) + frame)
        head = client.read_head()

        if head.status == 101:
            assert client.read_text() == "GET / HTTP/1.1\r\n\r\nabc"
        else:
            assert head.status == 400
            assert b"came behind the handshake" in client.read_exactly(
                int(head.headers["content-length"])
            )
        assert head.status == (400 if kind.startswith("waitress") else 101)


def test_open_connections_hold_no_thread_of_the_server(kind, plain):
    clients = [connect(kind, plain, "/ws/blocking") for _ in range(5)]
    try:
        assert get(kind, plain, "/release") == (200, "released")
        assert [client.read_text() for client in clients] == ["released"] * 5
    finally:
        for client in clients:
            client.close()


def test_a_broadcast_reaches_all(kind, plain):
    clients = [connect(kind, plain, "/ws/room/a") for _ in range(5)]
    try:
        clients[0].send_text("to all")
        assert [client.read_text() for client in clients] == ["to all"] * 5
    finally:
        for client in clients:
            client.close()


def test_what_the_client_sends_later_is_not_read_by_the_server(kind, plain):
    """No keep-alive loop takes the bytes of a message for a request."""
    with connect(kind, plain, "/ws/echo") as client:
        for number in range(20):
            client.send_frame(TEXT, b"GET /release HTTP/1.1\r\nHost: a\r\n\r\n", mask=bytes(4))
            assert client.read_text().startswith("GET /release"), number
        client.send_close()
        assert client.read_close() == 1000
        assert client.read_to_end() == b""


def test_a_probe_is_answered_as_the_handshake_would_be(kind, plain):
    assert probe(kind, plain, "/ws/echo") == 204
    assert probe(kind, plain, "/ws/none") == 404


def probe(kind: str, server: Server, path: str) -> int:
    """Ask as the browser client does."""
    with dial(kind, server) as client:
        client.send_bytes(
            f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nTina4-Probe: 1\r\n\r\n".encode()
        )
        return client.read_head().status


def test_a_refusal_passes(kind, plain):
    with dial(kind, plain) as client:
        assert client.ask_upgrade("/ws/none", KEY).status == 404


def test_the_server_logs_each_handshake_once_and_nothing_else(kind, plain):
    before = len(plain.log)
    with connect(kind, plain, "/ws/echo?quiet"):
        pass
    assert get(kind, plain, "/descriptors")[0] == 200
    log = plain.log[before:]

    logged = len(re.findall(r"GET /ws/echo\?quiet HTTP/1.1.*101", log))
    assert logged == (0 if kind.startswith("waitress") else 1)
    assert not [word for word in NOISE if word in plain.log]


@pytest.mark.parametrize("around", PASSING)
def test_the_101_precedes_the_first_frame_whatever_stands_around_the_app(kind, surrounded, around):
    before = len(surrounded.log)
    with dial(kind, surrounded) as client:
        client.send_bytes(
            request_head(f"/ws/echo?around={around}", "localhost", KEY)
            + client_frame(TEXT, b"early", mask=MASK)
        )
        head = client.read_head()

        assert head.status == 101
        assert head.headers["sec-websocket-accept"] == ACCEPT
        assert head.headers["upgrade"].lower() == "websocket"
        assert head.headers["connection"].lower() == "upgrade"
        assert {"content-length", "transfer-encoding"}.isdisjoint(head.headers)
        assert [client.read_text(), client.read_text()] == ["hello", "early"]
        client.send_close()
        assert client.read_close() == 1000
        assert client.read_to_end() == b""
    assert not any(word in surrounded.log[before:] for word in NOISE)


@pytest.mark.parametrize("around", ["collecting", "beginning_late", "without_write", "rewriting"])
def test_the_101_has_what_a_middleware_adds(kind, surrounded, around):
    with dial(kind, surrounded) as client:
        head = client.ask_upgrade(f"/ws/echo?around={around}", KEY)

        assert head.headers["x-around"] == "was here"


@pytest.mark.parametrize(("around", "status"), IN_PLACE)
def test_another_answer_in_place_of_the_101_is_all_that_the_client_gets(
    kind, surrounded, around, status
):
    before = len(surrounded.log)
    with dial(kind, surrounded) as client:
        head = client.ask_upgrade(f"/ws/echo?around={around}", KEY)

        body = client.read_exactly(int(head.headers.get("content-length", 0)))
        client.socket.shutdown(socket.SHUT_WR)

        assert head.status == status
        assert b"hello" not in body + client.read_to_end()
    assert f"answered {status} in place" in surrounded.log[before:]


@pytest.mark.parametrize("around", ["trying_twice", "trying_twice_and_collecting"])
def test_a_middleware_that_asks_twice_gets_one_upgrade_or_none(kind, surrounded, around):
    before = len(surrounded.log)
    with dial(kind, surrounded) as client:
        head = client.ask_upgrade(f"/ws/echo?around={around}", KEY)

        if head.status == 101:
            assert client.read_text() == "hello"
        else:
            assert head.status == 500
            body = client.read_exactly(int(head.headers["content-length"]))
            assert b"calls it twice" in body
    assert "calls it twice" in surrounded.log[before:]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_clients_hear_that_the_server_stops_and_callbacks_run(kind, tmp_path, how):
    with native_hosts.serving(kind, "plain:app", tmp_path / "log") as server:
        with (
            connect(kind, server, "/ws/echo") as first,
            connect(kind, server, "/ws/echo") as second,
        ):
            # Once this page's stream has ended, wsgiref is out of its handler, which would swallow
            # a KeyboardInterrupt.
            assert get(kind, server, "/descriptors")[0] == 200
            server.process.send_signal(how)
            for client in (first, second):
                frame = client.read_frame()
                assert frame.first == 0x88
                assert GOING_AWAY.fullmatch(frame.payload)
                client.send_close(1001)
            server.process.wait(20)

        assert server.log.count("closed with 1001") == 2
        if how is signal.SIGTERM:
            assert server.process.returncode == -signal.SIGTERM


def test_a_server_that_forks_for_each_request_is_refused_with_a_sentence(tmp_path):
    with (
        native_hosts.serving("werkzeug_processes", "plain:app", tmp_path / "log") as server,
        dial("werkzeug", server) as client,
    ):
        head = client.ask_upgrade("/ws/echo", KEY)

        assert head.status == 501
        assert b"ends with its request" in client.read_to_end()


@pytest.mark.parametrize(
    "kind", ["werkzeug", "werkzeug_threads", "werkzeug_tls", "wsgiref", "django", "waitress"]
)
def test_in_a_patched_process_they_serve_websockets_in_greenlets(kind, tmp_path):
    with native_hosts.serving(kind, "plain:app", tmp_path / "log", env={"PATCHED": "1"}) as server:
        with dial(kind, server) as client:
            client.send_bytes(
                request_head("/ws/echo", "localhost", KEY) + client_frame(TEXT, b"early")
            )
            assert client.read_head().status == 101
            assert client.read_text() == "early"
            assert get(kind, server, "/descriptors")[0] == 200
            client.send_text("late")
            assert client.read_text() == "late"
        assert not [word for word in NOISE if word in server.log]


def test_a_second_sigterm_ends_the_server_at_once(tmp_path: Path) -> None:
    with native_hosts.serving("wsgiref", "plain:app", tmp_path / "log") as server:
        with connect("wsgiref", server, "/ws/echo") as client:
            server.process.send_signal(signal.SIGTERM)
            assert client.read_close() == 1001  # and it doesn't answer
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(4)  # less than an unanswered close frame takes

        assert server.process.returncode == -signal.SIGTERM


def test_a_path_of_gevent_websocket_is_refused_with_a_sentence(tmp_path):
    with (
        native_hosts.serving("wsgiref", "plain:handing_over", tmp_path / "log") as server,
        dial("wsgiref", server) as client,
    ):
        head = client.ask_upgrade("/old/socket", KEY)

        assert head.status == 501
        assert b"needs a gevent worker" in client.read_to_end()
