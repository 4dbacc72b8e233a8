"""A WebSocket route of a Flask app under test, in the way in which Flask apps are tested."""

from __future__ import annotations

import flask
import flask_login
import pytest

from tests.contrib.flask_house import make_app
from tina4_wsgi import Router, broadcast
from tina4_wsgi.contrib.flask import login_required, websocket, wrap
from tina4_wsgi.testing import HandshakeRefused, TestClient


@pytest.fixture
def app() -> flask.Flask:
    app = make_app(TESTING=True)

    @websocket(app, "/ws/live", auth=login_required)
    def live(connection, event, data):
        if event == "message":
            connection.send(f"{flask_login.current_user.name}: {data}")

    @app.post("/news")
    def news() -> str:
        broadcast("/ws/live", flask.request.get_data(as_text=True))
        return "sent"

    return app


@pytest.fixture
def client(app):
    with TestClient(wrap(app, router=Router())) as client:
        yield client


def test_a_login_over_http_opens_the_websocket(client):
    client.get("/login/ada")

    with client.websocket("/ws/live") as ws:
        ws.send("hi")
        assert ws.receive() == "ada: hi"


def test_without_a_login_the_handshake_is_refused(client):
    with pytest.raises(HandshakeRefused) as refused:
        client.websocket("/ws/live")

    assert refused.value.status == 401


def test_what_a_view_pushes_arrives(client):
    client.get("/login/ada")

    with client.websocket("/ws/live") as ws:
        client.post("/news", data="posted")
        assert ws.receive() == "posted"


def test_the_session_of_flasks_own_test_client_can_be_shown(app, client):
    flasks = app.test_client()
    flasks.get("/login/bob")
    session = flasks.get_cookie("session").value

    client.set_cookie("session", session)
    with client.websocket("/ws/live") as ws:
        ws.send("hi")
        assert ws.receive() == "bob: hi"
