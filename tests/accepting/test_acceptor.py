"""How handshakes are answered, without a server: routes, refusals, probes and the order of both."""

from __future__ import annotations

import io
from typing import Any

import pytest

from tina4_wsgi import App, Router
from tina4_wsgi.errors import Refused

HANDSHAKE = {
    "REQUEST_METHOD": "GET",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_HOST": "shop.example",
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
    "HTTP_ORIGIN": "http://shop.example",
    "PATH_INFO": "/ws/chat",
    "REMOTE_ADDR": "192.0.2.1",
    "SERVER_SOFTWARE": "test",
}


@pytest.fixture
def app():
    router = Router()

    @router.websocket("/ws/{room}", subprotocols=["v1"])
    def chat(connection, event, data):
        pass

    app = App(router=router)
    yield app
    app.drain(0)


def answer(app: App, **changes: str) -> tuple[str, dict[str, str], str]:
    """What a handshake with changes is answered."""
    heads: list[Any] = []
    environ = {**HANDSHAKE, "wsgi.input": io.BytesIO(), **changes}
    body = app(environ, lambda status, headers, exc_info=None: heads.append((status, headers)))
    ((status, headers),) = heads
    return status, dict(headers), b"".join(body).decode()


# Each line breaks one thing more than the line below it, so the order is tried as well.
ORDER: list[tuple[dict[str, str], str]] = [
    ({"PATH_INFO": "/ws/\xff"}, "400 The path is not UTF-8."),
    ({"PATH_INFO": "/elsewhere"}, "404 no WebSocket route has this path"),
    ({"PATH_INFO": "/ws/" + "x" * 5_000}, "414 this path can't name a group of connections"),
    ({"REQUEST_METHOD": "POST"}, "405 a WebSocket handshake is a GET request"),
    ({"SERVER_PROTOCOL": "HTTP/1.0"}, "400 a WebSocket handshake needs HTTP/1.1"),
    ({"HTTP_SEC_WEBSOCKET_VERSION": "8"}, "426 only WebSocket version 13 is spoken here"),
    ({"HTTP_SEC_WEBSOCKET_KEY": "short"}, "400 Sec-WebSocket-Key is not the base64 of 16 bytes"),
    ({"HTTP_ORIGIN": "http://a.test"}, "403 this origin may not connect; see allowed_origins"),
    (
        {"HTTP_SEC_WEBSOCKET_PROTOCOL": "a,a"},
        "400 Sec-WebSocket-Protocol is no list of different tokens",
    ),
    (
        {"HTTP_SEC_WEBSOCKET_EXTENSIONS": "=;"},
        "400 Sec-WebSocket-Extensions is no list of extensions",
    ),
    ({}, "501 this server can't hand over its sockets; run it under"),
]


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_what_is_wrong_is_told_in_this_order(app, first):
    changes: dict[str, str] = {}
    for broken, _ in reversed(ORDER[first:]):
        changes |= broken

    status, _, body = answer(app, **changes)

    assert f"{status[:3]} {body}".startswith(ORDER[first][1])


def test_a_refusal_is_counted_by_its_status(app):
    answer(app, PATH_INFO="/elsewhere")
    answer(app, PATH_INFO="/elsewhere")
    answer(app, HTTP_ORIGIN="http://a.test")

    assert app._acceptor.refused == {404: 2, 403: 1}


def test_a_route_is_found_by_its_path_without_slashes_at_the_end(app):
    path, match = app._acceptor.find_route({}, "/ws/chat/")

    assert (path, match.params["room"]) == ("/ws/chat", "chat")


def test_a_path_that_is_no_text_is_ours_to_refuse_unless_there_is_a_legacy_app(app):
    with pytest.raises(Refused, match="400"):
        app._acceptor.find_route({}, "/ws/\xff")
    assert app._acceptor.has_route({"PATH_INFO": "/ws/\xff"})

    wrapped = App(lambda environ, start_response: [], router=app.router)

    assert not wrapped._acceptor.has_route({"PATH_INFO": "/ws/\xff"})


@pytest.mark.parametrize(("path", "status"), [("/ws/chat", "204"), ("/elsewhere", "404")])
def test_a_probe_is_answered_without_a_runtime(app, path, status):
    asked = {"REQUEST_METHOD": "HEAD", "HTTP_TINA4_PROBE": "1", "HTTP_UPGRADE": ""}

    found, _, _ = answer(app, PATH_INFO=path, **asked)

    assert (found[:3], app._runtime) == (status, None)
