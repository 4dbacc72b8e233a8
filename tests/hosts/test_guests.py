"""An application with WebSockets of another library goes on working: with us installed, and with an
App around it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.raw import TEXT, RawClient, client_frame, request_head
from tina4_wsgi import App, Router
from tina4_wsgi.config import Config
from tina4_wsgi.errors import ConfigError

APPS = Path(__file__).with_name("apps")
GWS = "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
SOCKET_IO = "/socket.io/?EIO=4&transport=websocket"
# simple-websocket closes its socket itself, and Engine.IO says so in its own way, whatever the
# server is.
PYTHON = (*servers.PYTHON, "-W", "ignore::ResourceWarning")


@contextlib.contextmanager
def serving(kind: str, name: str, folder: Path) -> Iterator[servers.Server]:
    env, log_path = {"PYTHONPATH": str(servers.ROOT)}, folder / "log"
    if kind == "own":
        running = servers.own(f"guests:{name}", APPS, log_path, env=env, python=PYTHON)
    else:
        running = servers.gunicorn(
            f"guests:{name}", APPS, log_path, worker_class=kind, env=env, python=PYTHON
        )
    with running as server:
        try:
            yield server
        finally:
            server.end()


def talk_socket_io(server: servers.Server) -> None:
    """Open a Socket.IO connection, ask a question, and read its answer (Engine.IO 4, Socket.IO
    5).
    """
    with RawClient.open(server.address, SOCKET_IO) as client:
        assert client.read_text().startswith("0{")
        client.send_text("40")
        assert client.read_text().startswith("40{")
        client.send_text('42["question","hi"]')
        assert client.read_text() == '42["answer","HI"]'


def talk_ours(server: servers.Server) -> None:
    with RawClient.open(server.address, "/ws/ours") as client:
        client.send_text("hi")
        assert client.read_text() == "ours: hi"


@pytest.mark.parametrize("kind", ["gevent", "gevent_pywsgi", GWS, "own"])
def test_flask_socketio_works_in_gevent_mode_where_its_path_is_named(kind, tmp_path):
    with serving(kind, "gevent_mode_inside", tmp_path) as server:
        for _ in range(2):
            talk_socket_io(server)
        talk_ours(server)

        assert "Traceback" not in server.log


@pytest.mark.parametrize(
    ("kind", "name"), [("gevent", "threading_mode_inside"), ("gevent", "threading_mode")]
)
def test_flask_socketio_works_in_threading_mode_without_a_word(kind, name, tmp_path):
    with serving(kind, name, tmp_path) as server:
        talk_socket_io(server)


def test_flask_socketio_alone_works_under_gevent_websockets_worker(tmp_path):
    with serving(GWS, "gevent_mode", tmp_path) as server:
        talk_socket_io(server)


@pytest.mark.parametrize("name", ["sock_app", "sock_inside"])
def test_flask_sock_works_alone_and_inside(name, tmp_path):
    with serving("gevent", name, tmp_path) as server:
        with RawClient.open(server.address, "/sock") as client:
            client.send_text("hi")
            assert client.read_text() == "sock: hi"
        if name.endswith("inside"):
            talk_ours(server)


@pytest.fixture(scope="module", params=["gevent", "gevent_pywsgi", GWS, "own"])
def chat(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[servers.Server]:
    """A server of the chat inside of an App."""
    with serving(str(request.param), "chat_inside", tmp_path_factory.mktemp("chat")) as server:
        yield server


def test_an_app_of_gevent_websocket_has_all_that_it_knows(chat):
    with RawClient.open(chat.address, "/chat/room?a=b", [("Origin", "http://a")]) as client:
        assert json.loads(client.read_text()) == ["/chat/room", "13", "http://a", None]


def test_an_app_of_gevent_websocket_reaches_all_of_its_clients(chat):
    with (
        RawClient.open(chat.address, "/chat") as first,
        RawClient.open(chat.address, "/chat/") as second,
    ):
        for client in (first, second):
            client.read_text()
        first.send_text("hi")

        assert [client.read_text() for client in (first, second)] == ["chat: hi"] * 2


def test_a_named_path_may_be_beyond_ascii(chat):
    with RawClient.open(chat.address, "/Gr%C3%BC%C3%9Fe/a") as client:
        client.read_text()
        client.send_text("hi")

        assert client.read_text() == "chat: hi"


def test_frames_right_behind_the_handshake_reach_the_legacy_app(chat):
    with RawClient.dial(chat.address) as client:
        client.send_bytes(request_head("/chat", "localhost", KEY) + client_frame(TEXT, b"early"))
        client.read_head()

        assert client.read_text().startswith("[")
        assert client.read_text() == "chat: early"


def test_a_large_message_reaches_the_legacy_app(chat):
    with RawClient.open(chat.address, "/chat") as client:
        client.read_text()
        client.send_text("a" * 300_000)

        assert client.read_text() == "chat: " + "a" * 300_000


def test_a_close_frame_ends_the_legacy_connection(chat):
    with RawClient.open(chat.address, "/chat") as client:
        client.read_text()
        client.send_close()

        assert client.read_frame().opcode == 8
        assert client.read_to_end() == b""


def test_a_path_of_ours_is_ours(chat):
    talk_ours(chat)


@pytest.mark.parametrize("chat", ["gevent", "gevent_pywsgi"], indirect=True)
def test_a_path_that_is_not_named_is_the_legacy_apps_as_ever(chat):
    with RawClient.dial(chat.address) as client:
        assert client.ask_upgrade("/chatter", KEY).status == 404


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([("Sec-WebSocket-Version", "8")], 426),
        ([("Sec-WebSocket-Key", "short")], 400),
        ([("Connection", "close")], 400),
    ],
)
@pytest.mark.parametrize("chat", ["gevent", "gevent_pywsgi"], indirect=True)
def test_a_handshake_that_is_none_is_refused_before_the_101(chat, fields, status):
    with RawClient.dial(chat.address) as client:
        client.send_bytes(request_head("/chat", "localhost", KEY, fields))

        assert client.read_head().status == status


@pytest.mark.parametrize("kind", ["gevent", "gevent_pywsgi"])
def test_a_legacy_app_that_fails_is_logged_and_the_connection_closed(kind, tmp_path):
    with (
        serving(kind, "failing_inside", tmp_path) as server,
        RawClient.dial(server.address) as client,
    ):
        head = client.upgrade("/any", [("Sec-WebSocket-Protocol", "other, legacy.v1")])

        assert head.headers["sec-websocket-protocol"] == "legacy.v1"
        assert client.read_text() == "before"
        assert client.read_frame().opcode == 8
        server.wait_for_log("LookupError: on purpose")
        assert server.log.count("Traceback") == 1


@pytest.mark.parametrize("kind", ["gevent", "gevent_pywsgi"])
def test_a_middleware_around_it_all_is_no_hindrance(kind, tmp_path):
    with serving(kind, "with_a_middleware", tmp_path) as server:
        with RawClient.open(server.address, "/chat") as client:
            client.read_text()
            client.send_text("hi")
            assert client.read_text() == "chat: hi"
            client.send_close()
            client.read_to_end()

        assert "Traceback" not in server.log


@pytest.mark.parametrize("kind", ["gevent", "own"])
def test_a_server_that_stops_says_1001_to_the_legacy_apps_clients(kind, tmp_path):
    with (
        serving(kind, "chat_inside", tmp_path) as server,
        RawClient.open(server.address, "/chat") as client,
    ):
        client.read_text()
        os.kill(server.pid, signal.SIGTERM)

        assert client.read_close() == 1001
        client.send_close(1001)
        client.close()
        assert server.process.wait(servers.STOP_S) == 0


@pytest.mark.parametrize("paths", ["socket.io", ["/a", "b"], "/chat?x", "/room/{name}", "/*", ""])
def test_a_path_that_is_none_is_refused_when_it_is_set(paths):
    with pytest.raises(ConfigError, match="gevent_websocket_paths"):
        Config.from_environ({}, gevent_websocket_paths=paths)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/socket.io", True),
        ("/socket.io/", True),
        ("/socket.io/x", True),
        ("/socket.iox", False),
        ("/", False),
    ],
)
def test_a_named_path_stands_for_itself_and_what_is_below(path, expected, tmp_path):
    app = App(
        lambda environ, start: [],
        router=Router(),
        root=tmp_path,
        gevent_websocket_paths="/socket.io/",
    )

    assert app.hands_over(path) is expected
