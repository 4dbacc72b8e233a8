"""Each event of a WebSocket runs in a Flask context of its own, and nothing of it stays."""

from __future__ import annotations

import logging

import flask
import pytest
from flask import Flask, g, has_app_context, has_request_context, request
from werkzeug.exceptions import Conflict

from tests.contrib.flask_house import ask, eventually, make_app, serving
from tina4_wsgi.contrib.flask import websocket

heard_by = flask.got_request_exception.connected_to


class Torn:
    """Writes down each context that ends: what `g` held, and with which error."""

    def __init__(self, app: Flask) -> None:
        self.requests: list[str] = []
        self.apps: list[str] = []
        app.teardown_request(lambda error: self.requests.append(f"{g.get('event')} {error!r}"))
        app.teardown_appcontext(lambda error: self.apps.append(f"{g.get('event')} {error!r}"))


@pytest.fixture
def app() -> Flask:
    return make_app()


@pytest.fixture
def torn(app: Flask) -> Torn:
    return Torn(app)


def test_every_event_has_a_fresh_context_that_is_torn_down(app, torn):
    inside = []

    @websocket(app, "/ws/live", auth=lambda request: note("auth"))
    def live(connection, event, data):
        note(event)

    def note(event):
        inside.append(
            (event, g.get("event"), request.path, request.headers["X-Colour"], request.args["q"])
        )
        g.event = event
        return event

    with serving(app) as house:
        client = house.connect("/ws/live?q=1", [("X-Colour", "red")])
        client.send_text("one")
        client.send_close()
        eventually(lambda: len(torn.apps) == 4, "all four are torn down")

    names = ["auth", "open", "message", "close"]
    assert inside == [(name, None, "/ws/live", "red", "1") for name in names]
    assert torn.requests == torn.apps == [f"{name} None" for name in names]


def test_a_callback_that_raises_leaves_no_context_and_teardown_hears_why(app, torn, caplog):
    @websocket(app, "/ws/live")
    def live(connection, event, data):
        g.event = event
        if event == "message":
            raise RuntimeError(data)

    class After:
        """A job that runs in the same pooled greenlet, right behind the callback."""

        seen: tuple[bool, bool] | None = None

        def work(self) -> None:
            self.seen = has_app_context(), has_request_context()

    with serving(app) as house:
        client = house.connect()
        client.send_text("on purpose")
        eventually(lambda: "message" in str(torn.apps), "the message is torn down")
        after = After()
        engine = next(iter(flask_app_of(house)._runtime._engines.values()))
        engine.dispatcher.submit(after)
        eventually(lambda: after.seen is not None, "the job behind it ran")
        client.send_text("again")
        eventually(lambda: str(torn.apps).count("message") == 2, "the connection lives on")

    assert after.seen == (False, False)
    assert torn.requests[1] == torn.apps[1] == "message RuntimeError('on purpose')"
    assert "RuntimeError: on purpose" in caplog.text


def flask_app_of(house):
    """The wrapping app that the house's server serves."""
    return house._server.application


def test_a_context_that_could_only_be_pushed_half_way_is_popped(app, torn, caplog):
    class BrokenStore(flask.sessions.SecureCookieSessionInterface):
        is_broken = False

        def open_session(self, app, request):
            if self.is_broken:
                raise ConnectionError("the store is gone")
            return super().open_session(app, request)

    app.session_interface = store = BrokenStore()

    @websocket(app, "/ws/live")
    def live(connection, event, data):
        g.event = event
        if event == "message":
            connection.send_json(data)

    with serving(app) as house:
        client = house.connect()
        assert ask(client, "before") == "before"
        store.is_broken = True
        client.send_text("lost")
        eventually(lambda: "the store is gone" in str(torn.apps), "the half context is torn down")
        store.is_broken = False
        assert ask(client, "after") == "after"

    assert torn.apps[2] == "None ConnectionError('the store is gone')"


def test_an_error_tracker_hears_of_a_callback_that_raises(app):
    heard = []
    websocket(app, "/ws/live")(fail)
    with (
        heard_by(lambda sender, exception: heard.append((sender, str(exception)))),
        serving(app) as house,
    ):
        client = house.connect()
        client.send_text("on purpose")
        eventually(lambda: heard, "the signal came")

    assert heard == [(app, "on purpose")]


def fail(connection, event, data):
    if event == "message":
        raise RuntimeError(data)


def test_an_error_tracker_is_spared_what_is_no_failure(app, caplog):
    heard = []

    @websocket(app, "/ws/live")
    def live(connection, event, data):
        if event == "message":
            raise Conflict("the client's fault")
        if event == "close":
            connection.send("too late")

    with heard_by(lambda sender, exception: heard.append(exception)), serving(app) as house:
        client = house.connect()
        client.send_text("x")
        client.send_close()
        client.read_close()
        eventually(lambda: "the client's fault" in caplog.text, "it is logged")

    assert heard == []


def test_a_callback_of_one_user_never_sees_the_context_of_another(app):
    @websocket(app, "/ws/{name}")
    def live(connection, event, data):
        if event == "open":
            g.name = connection.params.name
            connection.send_json([g.name, request.view_args["name"]])
            connection.broadcast_to("/ws/ada", "wait")  # lets others run
            connection.send_json([g.name, request.view_args["name"]])

    with serving(app) as house:
        clients = {name: house.connect(f"/ws/{name}") for name in ("bob", "eve", "joe")}
        told = {name: [client.read_text(), client.read_text()] for name, client in clients.items()}

    assert told == {name: [f'["{name}","{name}"]'] * 2 for name in clients}


def test_nothing_is_logged_when_all_goes_well(app, caplog):
    @websocket(app, "/ws/live")
    def live(connection, event, data):
        pass

    with caplog.at_level(logging.WARNING), serving(app) as house:
        client = house.connect()
        client.send_close()
        client.read_close()

    assert caplog.records == []
