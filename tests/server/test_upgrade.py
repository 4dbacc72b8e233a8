"""Who answers an upgrade under our own server: the application, or gevent-websocket where that is
asked for.
"""

from __future__ import annotations

import functools

import gevent
import pytest
from geventwebsocket.handler import WebSocketHandler

from tests.support.own_server import ANSWER_S, dial, exchange, read_answer, running, socket_of
from tests.support.raw import PING, TEXT, client_frame, request_head
from tina4_wsgi.hosting import takeover
from tina4_wsgi.protocol import handshake
from tina4_wsgi.server.handler import Handler

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def ask(path="/ws", fields=(), key=KEY):
    return request_head(path, "a", key, fields)


def refuse(environ, start_response):
    start_response("403 Forbidden", [("Content-Length", "2")])
    return [b"no"]


class Claiming:
    """Claims the upgrades below /mine, as an App with a legacy application does."""

    def __init__(self, app):
        self._app = app
        self.paths = []

    def claims_upgrade(self, environ):
        return environ["PATH_INFO"].startswith("/mine")

    def __call__(self, environ, start_response):
        self.paths.append(environ["PATH_INFO"])
        return self._app(environ, start_response)


class Framework:
    """Keeps its callable as Flask does."""

    def __init__(self, app):
        self.wsgi_app = app

    def __call__(self, environ, start_response):
        return self.wsgi_app(environ, start_response)


def legacy_echo(environ, start_response):
    """An application as gevent-websocket's own documentation has it."""
    websocket = environ.get("wsgi.websocket")
    if websocket is None:
        start_response("200 OK", [("Content-Length", "4")])
        return [b"http"]
    while (message := websocket.receive()) is not None:
        websocket.send(message)
    return []


legacy_echo.claims_upgrade = lambda environ: False


def plain(environ, start_response):
    """An application that knows of no WebSockets, as most are."""
    start_response("404 Not Found", [("Content-Length", "4")])
    return [b"none"]


class TakesOver:
    """Takes its connections over, and echoes nothing: what arrived is kept."""

    def __init__(self):
        self.taken = []

    def claims_upgrade(self, environ):
        return True

    def __call__(self, environ, start_response):
        accept = handshake.check(environ)
        place = takeover.find_place(environ)
        return takeover.take_over(place, start_response, [("Sec-WebSocket-Accept", accept)], self)

    def take(self, taken):
        sock = socket_of(taken)
        if taken.head:
            sock.send(taken.head)
        self.taken.append(taken._replace(stream=sock))

    def give_up(self, answer, nearest):
        raise AssertionError(f"answered {answer!r}")

    def close(self):
        for taken in self.taken:
            taken.stream.close()


def test_the_handler_is_a_real_gevent_websocket_handler():
    assert issubclass(Handler, WebSocketHandler)


def test_a_claimed_upgrade_is_left_to_the_application():
    app = Claiming(refuse)

    with running(app) as server:
        answer = exchange(server, ask("/mine"))

    assert app.paths == ["/mine"]
    assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")


def test_an_upgrade_that_nobody_claims_is_made_as_gevent_websocket_makes_it():
    with running(Claiming(legacy_echo)) as server, dial(server) as client:
        client.upgrade("/theirs")
        client.send_text("hi")

        assert client.read_text() == "hi"
        client.send_close()
        assert client.read_frame().opcode == 8


@pytest.mark.parametrize("app", [plain, functools.partial(plain), Framework(plain)])
@pytest.mark.parametrize("path", ["/ws/typo", "/", "/mine"])
def test_an_application_that_says_nothing_answers_an_upgrade_as_any_request(app, path):
    with running(app) as server:
        answer = exchange(server, ask(path) + SMUGGLED)

    assert answer.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert b"\r\nConnection: close\r\n" in answer
    assert answer.endswith(b"\r\n\r\nnone")


def test_an_application_that_claims_nothing_of_what_it_is_asked_for_gets_all_upgrades_ready_made():
    with running(legacy_echo) as server, dial(server) as client:
        client.upgrade("/anything")
        client.send_text("hi")

        assert client.read_text() == "hi"


def test_frames_right_behind_the_handshake_reach_a_legacy_application():
    with running(legacy_echo) as server, dial(server) as client:
        client.send_bytes(ask() + client_frame(PING, b"1") + client_frame(TEXT, b"early"))

        assert client.read_head().status == 101
        assert client.read_frame() == (0x8A, b"1")
        assert client.read_text() == "early"


def test_a_legacy_websocket_may_be_silent_for_longer_than_any_request():
    with (
        running(legacy_echo, handshake_timeout_s=0.2, keepalive_timeout_s=0.2) as server,
        dial(server) as client,
    ):
        client.upgrade("/ws")
        gevent.sleep(0.5)
        client.send_text("hi")

        assert client.read_text() == "hi"


@pytest.mark.parametrize(
    ("fields", "key", "status"),
    [
        ([("Sec-WebSocket-Version", "8")], KEY, b"426 Upgrade Required"),
        ([("Sec-WebSocket-Version", "")], KEY, b"426 Upgrade Required"),
        ([], "", b"400 Bad Request"),
        ([], "!!!", b"400 Bad Request"),
        ([], "dGhl", b"400 Bad Request"),
        ([("Upgrade", "websocket, h2c")], "x" * 24, b"400 Bad Request"),
    ],
)
def test_a_bad_handshake_for_a_legacy_application_is_refused_before_it_is_called(
    fields, key, status, caplog
):
    app = Claiming(legacy_echo)

    with running(app) as server:
        answer = exchange(server, ask("/ws", fields, key) + SMUGGLED)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert b"\r\nConnection: close" in head
    assert b"\r\nContent-Length: %d\r\n" % len(body) in head
    assert app.paths == []
    assert caplog.records == []


def test_a_wrong_version_is_told_the_right_one():
    with running(legacy_echo) as server:
        answer = exchange(server, ask(fields=[("Sec-WebSocket-Version", "8")]))

    assert b"\r\nSec-WebSocket-Version: 13\r\n" in answer


@pytest.mark.parametrize(
    "fields",
    [
        [("Connection", "keep-alive")],
        [("Connection", "Upgradeable")],
        [("Upgrade", "h2c")],
        [("Upgrade", "")],
    ],
)
def test_what_does_not_ask_for_a_websocket_is_plain_http(fields):
    with running(legacy_echo) as server, dial(server) as client:
        client.send_bytes(ask(fields=fields))

        assert read_answer(client)[1] == b"http"


def test_what_follows_a_refused_handshake_is_not_read_as_a_request():
    app = Claiming(refuse)

    with running(app) as server:
        answer = exchange(server, ask("/mine") + SMUGGLED)

    assert app.paths == ["/mine"]
    assert b"\r\nConnection: close\r\n" in answer
    assert answer.endswith(b"\r\n\r\nno")


def test_a_body_on_an_upgrade_is_not_left_for_whoever_reads_next():
    app = Claiming(refuse)
    length = str(len(SMUGGLED))

    with running(app) as server, dial(server) as client:
        client.send_bytes(ask("/mine", [("Content-Length", length)]) + SMUGGLED)
        read_answer(client)
        client.send_bytes(SMUGGLED.replace(b"smuggled", b"honest"))
        read_answer(client)

    assert app.paths == ["/mine", "/honest"]


def test_a_connection_that_was_taken_over_is_nothing_to_the_server_any_more():
    app = TakesOver()

    with running(app, handshake_timeout_s=0.2) as server, dial(server) as client:
        client.send_bytes(ask() + client_frame(TEXT, b"early"))
        head = client.read_head()
        with gevent.Timeout(ANSWER_S):
            while server.handlers:
                gevent.sleep(0.01)
        app.taken[0].stream.send(b"later")

        assert head.status == 101
        assert app.taken[0].early == client_frame(TEXT, b"early")
        assert client.read_exactly(5) == b"later"
        app.close()


def test_taking_over_does_not_wait_for_bytes_that_have_not_come():
    app = TakesOver()

    with running(app) as server, dial(server) as client:
        with gevent.Timeout(ANSWER_S):
            client.send_bytes(ask())
            client.read_head()
            while not app.taken:
                gevent.sleep(0.01)

        assert app.taken[0].early == b""
        app.close()


def test_an_upgrade_has_its_line_in_the_access_log(caplog):
    app = TakesOver()
    caplog.set_level("INFO", "tina4_wsgi.access")

    with running(app) as server, dial(server) as client:
        client.send_bytes(ask("/ws?token=secret"))
        client.read_head()
        with gevent.Timeout(ANSWER_S):
            while server.handlers:
                gevent.sleep(0.01)
        app.close()

    (line,) = [one.getMessage() for one in caplog.records if one.name == "tina4_wsgi.access"]
    assert line.startswith('127.0.0.1 "GET /ws HTTP/1.1" 101 ')
