"""The whole way: our own server, a real App, and a client that knows nothing but bytes."""

from __future__ import annotations

import json
from pathlib import Path

import gevent
import pytest
from gevent import socket, ssl

from tests.support.deadline import NEVER_S
from tests.support.own_server import ANSWER_S, STOP_S, dial, exchange, read_answer
from tests.support.raw import BINARY, TEXT, RawClient, client_frame, request_head
from tina4_wsgi import App, Router
from tina4_wsgi.server.server import Server

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
CERTIFICATE = Path(__file__).parent / "localhost.pem"
GET = b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n"


def chat(connection, event, data):
    if event == "message":
        connection.broadcast(data)


def legacy(environ, start_response):
    websocket = environ.get("wsgi.websocket")
    if websocket is None:
        start_response("200 OK", [("Content-Length", "6")])
        return [b"legacy"]
    while (message := websocket.receive()) is not None:
        websocket.send(f"legacy {message}")
    return []


legacy.claims_upgrade = lambda environ: False


@pytest.fixture
def router():
    router = Router()
    router.websocket("/ws/{room}", chat)
    router.get("/page", lambda request, response: "page")
    router.post("/echo", lambda request, response: {"got": request.json})
    return router


@pytest.fixture
def serve(router, tmp_path):
    """Start servers for apps over the router; they are stopped after the test."""
    servers = []

    def start(wsgi_app=None, **where):
        server = Server(
            App(wsgi_app, router=router, root=tmp_path, drain_timeout_s=NEVER_S), port=0, **where
        )
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop(STOP_S)


def test_messages_go_round_a_room(serve):
    server = serve()

    with dial(server) as first, dial(server) as second:
        first.upgrade("/ws/a")
        second.upgrade("/ws/a")
        first.send_text("hi")

        assert [client.read_text() for client in (first, second)] == ["hi", "hi"]


def test_frames_right_behind_the_handshake_are_not_lost(serve):
    with dial(serve()) as client:
        client.send_bytes(
            request_head("/ws/a", "a", KEY) + client_frame(TEXT, b"1") + client_frame(TEXT, b"2")
        )

        assert client.read_head().status == 101
        assert [client.read_text(), client.read_text()] == ["1", "2"]


def test_an_upgrade_may_follow_a_page_on_the_same_connection(serve):
    with dial(serve()) as client:
        client.send_bytes(GET)
        assert read_answer(client)[1] == b"page"
        client.upgrade("/ws/a")
        client.send_text("hi")

        assert client.read_text() == "hi"


@pytest.mark.parametrize(
    "body",
    [
        b'Content-Length: 8\r\n\r\n{"a": 1}',
        b'Transfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n5\r\n": 1}\r\n0\r\n\r\n',
    ],
)
def test_a_body_reaches_its_route_whichever_way_it_is_laid_out(serve, body):
    with dial(serve()) as client:
        for _ in range(2):
            client.send_bytes(
                b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" + body
            )

            assert json.loads(read_answer(client)[1]) == {"got": {"a": 1}}


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/no", [], b"404 Not Found"),
        ("/ws/a", [("Sec-WebSocket-Version", "8")], b"426 Upgrade Required"),
        ("/ws/a", [("Sec-WebSocket-Key", "x")], b"400 Bad Request"),
        ("/ws/a", [("Origin", "http://evil.example")], b"403 Forbidden"),
        ("/ws/%ff", [], b"400 Bad Request"),
    ],
)
def test_a_refused_upgrade_is_plain_http_and_the_end_of_the_connection(serve, path, fields, status):
    answer = exchange(serve(), request_head(path, "a", KEY, fields) + GET)

    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"\r\nConnection: close" in answer
    assert answer.count(b"HTTP/1.1") == 1


def test_a_legacy_application_has_its_own_websockets_beside_ours(serve):
    server = serve(legacy)

    with dial(server) as ours, dial(server) as theirs, dial(server) as page:
        ours.upgrade("/ws/a")
        theirs.upgrade("/theirs")
        for client in (ours, theirs):
            client.send_text("hi")
        page.send_bytes(b"GET /any HTTP/1.1\r\nHost: a\r\n\r\n")

        assert ours.read_text() == "hi"
        assert theirs.read_text() == "legacy hi"
        assert read_answer(page)[1] == b"legacy"
        theirs.send_close()
        theirs.read_to_end()


def test_open_websockets_take_no_place_in_the_server(serve):
    server = serve()

    with dial(server) as client:
        client.upgrade("/ws/a")
        with gevent.Timeout(ANSWER_S):
            while server.handlers:
                gevent.sleep(0.01)

        assert len(server.pool) == 0


def test_all_websockets_hear_1001_when_the_server_stops(serve):
    server = serve()

    with dial(server) as client:
        client.upgrade("/ws/a")
        stopping = gevent.spawn(server.stop)
        assert client.read_close() == 1001
        client.send_close(1001)

        assert client.read_to_end() == b""
    stopping.get(timeout=ANSWER_S)


def test_websockets_work_over_tls(serve):
    server = serve(certfile=CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(CERTIFICATE)
    plain = socket.create_connection(("127.0.0.1", server.port), ANSWER_S)
    large = bytes(range(256)) * 250

    with RawClient(context.wrap_socket(plain, server_hostname="localhost")) as client:
        client.send_bytes(request_head("/ws/a", "a", KEY) + client_frame(TEXT, b"early"))
        assert client.read_head().status == 101
        assert client.read_text() == "early"
        for _ in range(20):
            client.send_frame(BINARY, large)
        for _ in range(20):
            assert client.read_frame().payload == large


def test_websockets_work_on_a_unix_socket(serve, tmp_path):
    path = tmp_path / "web.sock"
    serve(unix_path=path)
    wire = socket.socket(socket.AF_UNIX)
    wire.settimeout(ANSWER_S)
    wire.connect(str(path))

    with RawClient(wire) as client:
        client.send_bytes(request_head("/ws/a", "a", KEY) + client_frame(TEXT, b"hi"))

        assert client.read_head().status == 101
        assert client.read_text() == "hi"


@pytest.mark.parametrize("path", ["/style.css", "/__tina4/tina4-ws.js"])
def test_static_files_are_in_the_access_log_at_debug_only(tmp_path, serve, path, caplog):
    (tmp_path / "src" / "public").mkdir(parents=True)
    (tmp_path / "src" / "public" / "style.css").write_text("p {}")
    caplog.set_level("DEBUG", "tina4_wsgi.access")
    server = serve()

    for asked in (path, "/page"):
        exchange(server, f"GET {asked} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())

    levels = {
        record.getMessage().split()[2]: record.levelname
        for record in caplog.records
        if record.name == "tina4_wsgi.access"
    }
    assert levels == {path: "DEBUG", "/page": "INFO"}
