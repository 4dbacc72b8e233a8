"""Any bytes in target and header fields: what events see is a part of what the server's environ
was.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from gevent import pywsgi, socket
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.own_server import running
from tests.support.raw import Head, RawClient
from tina4_wsgi import App, Router

ANSWER_S = 20.0
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
CONSTANTS = frozenset(
    {
        "REQUEST_METHOD",
        "SERVER_PROTOCOL",
        "wsgi.version",
        "wsgi.input",
        "wsgi.errors",
        "wsgi.multithread",
        "wsgi.multiprocess",
        "wsgi.run_once",
        "tina4_wsgi.connection",
        "tina4_wsgi.match",
    }
)
"""What `connection.environ()` says of itself; see `Opening.wsgi_environ`."""

INJECTED = (
    "\0REMOTE_USER=admin\0HTTP_X_REMOTE_USER=admin\0REMOTE_ADDR=10.6.6.6\0wsgi.url_scheme=https"
)

KINDS = ("own", "pywsgi")
LINE = st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"").replace(b"\r", b""))


class Hall:
    """An app behind one kind of server.

    Attributes:
        said: the environ of the last handshake, as the server gave it.
        seen: what the last "open" saw.
        asked: what `auth` was asked with, when it was let on.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.said: dict[str, Any] = {}
        self.seen: dict[str, Any] | None = None
        self.asked: list[Any] = []
        router = Router()
        router.websocket("/ws/{rest:path}", self.open, auth=self.auth)
        self.app = App(router=router)

    def auth(self, request: Any) -> str:
        self.asked.append(request.environ.get("REMOTE_USER"))
        return "guest"

    def open(self, connection: Any, event: str, data: Any) -> None:
        if event == "open":
            self.seen = {
                "environ": connection.environ(),
                "ip": connection.ip,
                "cookies": dict(connection.cookies),
                "stays": connection.refresh_auth(),
                "auth": connection.auth,
            }
            connection.send("seen")

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        self.said = dict(environ)
        return self.app(environ, start_response)

    def shake(self, target: bytes, *fields: bytes) -> Head:
        """Make one handshake of these bytes, wait for "open" if it passes, and give the answer's
        head.
        """
        self.seen = None
        lines = [
            b"GET " + target + b" HTTP/1.1",
            b"Host: localhost",
            b"Upgrade: websocket",
            b"Connection: Upgrade",
            b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: " + KEY,
            *fields,
            b"",
            b"",
        ]
        with RawClient(socket.create_connection(("127.0.0.1", self.port), ANSWER_S)) as client:
            client.send_bytes(b"\r\n".join(lines))
            head = client.read_head()
            if head.status == 101:
                assert client.read_text() == "seen"
        return head

    def check(self) -> None:
        """See that the last handshake's events saw nothing that the server had not said."""
        if self.seen is not None:
            seen = {
                name: value for name, value in self.seen["environ"].items() if name not in CONSTANTS
            }
            assert seen.items() <= self.said.items()
            assert "REMOTE_USER" not in seen
            assert self.seen["ip"] == "127.0.0.1"

    def close(self) -> None:
        self.app.drain(0.5)


@contextlib.contextmanager
def serving(kind: str) -> Iterator[Hall]:
    hall = Hall(0)
    if kind == "own":
        with running(hall) as server:
            hall.port = server.port
            yield hall
            hall.close()
        return
    server = pywsgi.WSGIServer(("127.0.0.1", 0), hall, log=None, error_log=None)
    server.start()
    hall.port = server.server_port
    try:
        yield hall
        hall.close()
    finally:
        server.stop()


@pytest.fixture(params=KINDS)
def hall(request: pytest.FixtureRequest) -> Iterator[Hall]:
    with serving(request.param) as opened:
        yield opened


@pytest.mark.deadline(90)
@pytest.mark.parametrize("kind", KINDS)
def test_any_bytes_of_a_target_and_of_fields_inject_nothing(kind):
    with serving(kind) as hall:

        @settings(max_examples=60, deadline=None)
        @given(target=LINE, query=LINE, name=LINE, value=LINE, cookie=LINE)
        @example(target=quote(INJECTED).encode(), query=b"", name=b"X", value=b"", cookie=b"")
        @example(
            target=b"x", query=b"", name=b"X", value=INJECTED.encode(), cookie=INJECTED.encode()
        )
        @example(
            target=b"x",
            query=INJECTED.encode(),
            name=b"X" + INJECTED.encode(),
            value=b"",
            cookie=b"a=b",
        )
        def try_it(target: bytes, query: bytes, name: bytes, value: bytes, cookie: bytes) -> None:
            address = b"/ws/" + quote(target).encode() + b"?" + query
            hall.shake(address, name + b": " + value, b"Cookie: " + cookie)
            hall.check()

        try_it()


@pytest.mark.parametrize("control", range(32))
def test_a_control_character_of_a_path_is_refused_before_auth_is_asked(hall, control):
    hall.asked.clear()

    assert hall.shake(b"/ws/x%%%02xREMOTE_USER=admin" % control).status == 400
    assert hall.asked == []


@pytest.mark.parametrize(
    "path", [b"/ws/x%7f", b"/ws/%00", b"/ws/%00/", b"/%00/ws/x", b"/ws/%c3%a4%0d", b"/nothing%00"]
)
def test_nor_does_it_pass_in_other_places_of_a_path(hall, path):
    assert hall.shake(path).status == 400


@pytest.mark.parametrize(
    "path", [b"/ws/x%25%30%30y", b"/ws/x%2500REMOTE_USER=admin", b"/ws/%c2%a0", b"/ws/a%20b"]
)
def test_what_is_no_control_character_once_decoded_passes(hall, path):
    assert hall.shake(path).status == 101
    hall.check()


@pytest.mark.parametrize(
    "field",
    [
        b"X-Any: a\0REMOTE_USER=admin",
        b"Cookie: a=b\0HTTP_X_USER=admin",
        b"User-Agent: \x01",
        b"Origin: http://localhost\0",
        b"X: a\x0bb",
    ],
)
def test_nor_does_a_field_with_one(hall, field):
    hall.asked.clear()

    assert hall.shake(b"/ws/x", field).status in (400, 403)
    assert hall.asked == []


@pytest.mark.parametrize(
    "field",
    [
        b"Remote-User: admin",
        b"Remote_User: admin",
        b"Auth-Type: Basic",
        b"wsgi.url_scheme: x",
    ],
)
def test_no_field_can_be_the_user_whom_the_host_found(hall, field):
    assert hall.shake(b"/ws/x", field).status == 101

    hall.check()
    assert {"REMOTE_USER", "AUTH_TYPE"}.isdisjoint(hall.seen["environ"])
    assert hall.seen["environ"]["wsgi.url_scheme"] == "http"


def test_a_control_character_in_a_query_is_refused():
    with serving("pywsgi") as plain:
        assert plain.shake(b"/ws/x?a=\0REMOTE_USER=admin").status == 400


def sso(app: App) -> Callable[..., Any]:
    """Put a middleware around an app that says who it is."""

    def call(environ: dict[str, Any], start_response: Any) -> Any:
        environ["REMOTE_USER"], environ["AUTH_TYPE"] = "ada", "Negotiate"
        environ["sso.groups"], environ["beaker.session"] = GROUPS, SESSION
        return app(environ, start_response)

    return call


GROUPS = ["staff"]
SESSION: dict[str, Any] = {"cart": 3}


@pytest.mark.parametrize("kind", KINDS)
def test_who_a_middleware_around_the_app_found_is_there_in_events_and_re_checks(kind):
    seen: list[Any] = []

    def auth(request: Any) -> Any:
        seen.append((request.environ.get("REMOTE_USER"), request.environ.get("beaker.session")))
        return request.environ.get("REMOTE_USER")

    def tell(connection: Any, event: str, data: Any) -> None:
        if event == "open":
            stays = connection.refresh_auth()
            environ = connection.environ()
            kept = (
                environ["sso.groups"] is GROUPS,
                environ["beaker.session"] is SESSION,
                environ["AUTH_TYPE"],
            )
            connection.send_json([stays, connection.auth, *kept])

    router = Router()
    router.websocket("/ws", tell, auth=auth)
    app = App(router=router, keep_environ=("sso.groups", "beaker.session"))
    with contextlib.ExitStack() as stack:
        server: Any
        if kind == "own":
            server = stack.enter_context(running(sso(app)))
        else:
            server = pywsgi.WSGIServer(("127.0.0.1", 0), sso(app), log=None, error_log=None)
            server.start()
            stack.callback(server.stop)
        address = ("127.0.0.1", server.port if kind == "own" else server.server_port)
        with RawClient(socket.create_connection(address, ANSWER_S)) as client:
            client.upgrade("/ws")
            assert client.read_text() == '[true,"ada",true,true,"Negotiate"]'
        app.drain(0.5)

    assert seen == [("ada", SESSION)] * 2
