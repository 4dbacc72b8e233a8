"""Requests in a test: Werkzeug's client, with the app's WebSockets in view."""

from __future__ import annotations

import pytest

from tina4_wsgi import App, Router
from tina4_wsgi.testing import HandshakeRefused, TestClient


@pytest.fixture
def mirror():
    """Answer any method with what came."""
    router = Router()

    @router.any("/mirror")
    def answer(request, response):
        return {
            "method": request.method,
            "query": request.query.get("q"),
            "body": request.body.decode(),
        }

    with TestClient(App(router=router)) as client:
        yield client


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_each_method_has_a_method(mirror, method):
    answer = getattr(mirror, method)("/mirror", query_string={"q": "x"}, data="sent")

    assert answer.json == {"method": method.upper(), "query": "x", "body": "sent"}


@pytest.mark.parametrize("keyword", ["query", "query_string"])
def test_requests_and_handshakes_take_the_same_keywords_for_a_query(mirror, keyword):
    seen = []
    mirror.application.router.websocket(
        "/ws",
        lambda connection, event, data: (
            seen.append(connection.query.get("q")) if event == "open" else None
        ),
    )

    with mirror.websocket("/ws", **{keyword: {"q": "x"}}):
        assert mirror.get("/mirror", **{keyword: {"q": "x"}}).json["query"] == "x"

    assert seen == ["x"]


def test_request_makes_any_method(mirror):
    assert mirror.request("REPORT", "/mirror?q=x").json["method"] == "REPORT"


def test_head_has_no_body_and_options_are_answered(client):
    assert client.head("/online").data == b""
    assert "GET" in client.options("/online").headers["Allow"]


def test_a_request_comes_from_loopback(client, chat):
    seen = []
    chat.app.router.get("/ip", lambda request, response: seen.append(request.ip) or "")

    client.get("/ip")
    client.get("/ip", environ_base={"REMOTE_ADDR": "10.1.2.3"})

    assert seen == ["127.0.0.1", "10.1.2.3"]


def test_an_app_behind_middleware_is_found():
    router = Router()
    router.websocket(
        "/ws", lambda connection, event, data: event == "message" and connection.send(data)
    )
    app = App(router=router)

    def middleware(environ, start_response):
        return app(dict(environ), start_response)

    with TestClient(middleware) as client, client.websocket("/ws") as ws:
        ws.send("hi")

        assert ws.receive() == "hi"


def test_a_legacy_app_is_asked_for_what_is_not_ours():
    def legacy(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["PATH_INFO"].encode()]

    with TestClient(App(legacy, router=Router())) as client:
        assert client.get("/old").text == "/old"
        with pytest.raises(HandshakeRefused, match="was answered 200 OK, expected 101: /ws/old"):
            client.websocket("/ws/old")
