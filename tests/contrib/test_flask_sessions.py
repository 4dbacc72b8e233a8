"""The session of a Flask app in WebSocket callbacks: readable, and writable where the server keeps
it.
"""

from __future__ import annotations

import flask_login
import pytest
from flask import Flask, session

from tests.contrib.flask_house import Store, User, ask, eventually, make_app, serving
from tina4_wsgi.contrib.flask import SessionWriteError, websocket

pytestmark = pytest.mark.filterwarnings(
    "ignore:datetime.datetime.utcnow:DeprecationWarning"
)  # flask-login's

ADVICE = (
    "keep it in connection.state or the database, write it in a view, or use a session that the "
    "server keeps"
)


@pytest.fixture
def app() -> Flask:
    app = make_app()
    app.add_url_rule("/put/<name>", "put", lambda name: session.update(cart=[name]) or "put")

    @websocket(app, "/ws/live")
    def live(connection, event, data):
        app.on_event(connection, event)

    return app


def cookie_of(app: Flask, path: str) -> list[tuple[str, str]]:
    """Ask for a page, and give the session's cookie as a field of a handshake."""
    browser = app.test_client()
    browser.get(path)
    cookie = browser.get_cookie("session")
    assert cookie is not None
    return [("Cookie", f"session={cookie.value}")]


def run_in_callback(app: Flask, do, fields=()):
    """Have a message run `do`, and give its outcome: what it gave, or the error it raised."""
    outcomes = []

    def on_event(connection, event):
        if event != "message":
            return
        try:
            outcomes.append(do())
        except Exception as exc:
            outcomes.append(exc)
            raise

    app.on_event = on_event
    with serving(app) as house:
        client = house.connect("/ws/live", list(fields))
        client.send_text("do it")
        eventually(lambda: outcomes, "the message was handled")
    return outcomes[0]


def test_the_session_can_be_read_in_every_event(app):
    seen = []
    app.on_event = lambda connection, event: seen.append((event, session["cart"]))
    with serving(app) as house:
        client = house.connect("/ws/live", cookie_of(app, "/put/apple"))
        client.send_text("x")
        client.send_close()
        eventually(lambda: len(seen) == 3, "all events came")

    assert seen == [("open", ["apple"]), ("message", ["apple"]), ("close", ["apple"])]


@pytest.mark.parametrize(
    "write",
    [
        lambda: session.update(cart=["pear"]),
        lambda: session.pop("cart"),
        lambda: session.clear(),
        lambda: session.setdefault("colour", "red"),
        lambda: setattr(session, "permanent", True),
        lambda: flask_login.login_user(User("ada")),
    ],
    ids=["update", "pop", "clear", "setdefault", "permanent", "login_user"],
)
def test_writing_to_a_session_in_a_cookie_raises_and_says_what_to_do(app, write):
    raised = run_in_callback(app, write, cookie_of(app, "/put/apple"))

    assert isinstance(raised, SessionWriteError)
    assert ADVICE in str(raised)


def test_logging_out_in_a_callback_raises(app):
    raised = run_in_callback(app, flask_login.logout_user, cookie_of(app, "/login/ada"))

    assert isinstance(raised, SessionWriteError)


def test_a_change_inside_of_a_session_in_a_cookie_raises_at_the_end(app, caplog):
    def change():
        session["cart"].append("pear")
        session.modified = True

    run_in_callback(app, change, cookie_of(app, "/put/apple"))

    assert ADVICE in caplog.text


def test_an_app_without_a_secret_key_is_told_by_flask(app):
    app.secret_key = None

    raised = run_in_callback(app, lambda: session.update(a=1))

    assert isinstance(raised, RuntimeError)
    assert "Set the secret_key" in str(raised)


@pytest.mark.parametrize("protection", ["basic", "strong"])
def test_what_flask_login_notes_when_an_address_changes_is_no_write(app, protection):
    app.login_manager.session_protection = protection
    cookie = cookie_of(app, "/login/ada")

    name = run_in_callback(app, user_name, [*cookie, ("User-Agent", "moved")])

    assert name == {"basic": "ada", "strong": None}[protection]


def test_a_user_who_is_only_remembered_is_known(app):
    browser = app.test_client()
    browser.get("/login/ada?remember")
    remembered = browser.get_cookie("remember_token")

    assert (
        run_in_callback(app, user_name, [("Cookie", f"remember_token={remembered.value}")]) == "ada"
    )


def user_name() -> str | None:
    return getattr(flask_login.current_user, "name", None)


def test_a_session_that_the_server_keeps_is_saved(app):
    app.session_interface = store = Store()

    def on_event(connection, event):
        if event == "message":
            session["visits"] = session.get("visits", 0) + 1
            connection.send_json(session["visits"])

    app.on_event = on_event
    with serving(app) as house:
        client = house.connect("/ws/live", cookie_of(app, "/put/apple"))
        assert [ask(client), ask(client)] == [1, 2]

    assert store.contents == {"sid-0": {"cart": ["apple"], "visits": 2}}


def test_a_session_that_the_server_keeps_is_not_saved_when_the_callback_raises(app):
    app.session_interface = store = Store()

    def change():
        session["cart"] = []
        raise RuntimeError("on purpose")

    run_in_callback(app, change, cookie_of(app, "/put/apple"))

    assert store.contents == {"sid-0": {"cart": ["apple"]}}


def test_a_new_session_that_the_server_keeps_would_be_lost_without_a_cookie_and_raises(app, caplog):
    app.session_interface = Store()

    run_in_callback(app, lambda: session.update(cart=[]))

    assert ADVICE in caplog.text


def test_a_remembered_user_of_a_session_that_the_server_keeps_is_known(app, caplog):
    app.session_interface = Store()
    browser = app.test_client()
    browser.get("/login/ada?remember")
    remembered = browser.get_cookie("remember_token")

    assert (
        run_in_callback(app, user_name, [("Cookie", f"remember_token={remembered.value}")]) == "ada"
    )
    assert caplog.records == []
