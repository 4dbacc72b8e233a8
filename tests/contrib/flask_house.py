"""A Flask app with users in this process, served by our own server, and clients that log in."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import flask_login
import gevent
from flask import Flask, request
from flask.sessions import SessionInterface, SessionMixin
from werkzeug.datastructures import CallbackDict

from tests.support.own_server import dial, running
from tests.support.raw import Head, RawClient
from tina4_wsgi import App, Router
from tina4_wsgi.contrib.flask import wrap
from tina4_wsgi.server.server import Server

PATIENCE_S = 15.0
KEY = "AAAAAAAAAAAAAAAAAAAAAA=="

Fields = list[tuple[str, str]]


class User(flask_login.UserMixin):
    """A user whose id in the session is a token that a log-out changes, as flask-login advises."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.number = 0
        self.is_enabled = True

    @property
    def is_active(self) -> bool:
        return self.is_enabled

    def get_id(self) -> str:
        return f"{self.name}-{self.number}"


def make_app(**config: Any) -> Flask:
    """Give an app with /login/<name> and /logout; `app.users` are its users by name."""
    app = Flask("shop")
    app.config.update(SECRET_KEY="secret", **config)
    app.users = {name: User(name) for name in ("ada", "bob")}  # type: ignore[attr-defined]
    users = app.users  # type: ignore[attr-defined]
    manager = flask_login.LoginManager(app)

    @manager.user_loader
    def load(token: str) -> User | None:
        return next((user for user in users.values() if user.get_id() == token), None)

    @app.get("/login/<name>")
    def login(name: str) -> str:
        flask_login.login_user(users[name], remember="remember" in request.args)
        return "in"

    @app.get("/logout")
    def logout() -> str:
        flask_login.current_user.number += 1
        flask_login.logout_user()
        return "out"

    return app


class House:
    """A wrapped app that is served, and who connects to it."""

    def __init__(self, app: Flask, server: Server) -> None:
        self.app = app
        self._server = server
        self._clients: list[RawClient] = []

    def connect(self, path: str = "/ws/live", fields: Fields | None = None) -> RawClient:
        """Connect and upgrade."""
        client = self._dial()
        client.upgrade(path, fields or [])
        return client

    def refusal(self, path: str = "/ws/live", fields: Fields | None = None) -> tuple[int, str]:
        """Ask for an upgrade that is refused; gives the status and the body."""
        client = self._dial()
        head: Head = client.ask_upgrade(path, KEY, fields or [])
        return head.status, client.read_exactly(int(head.headers["content-length"])).decode()

    def login(self, name: str, query: str = "") -> Fields:
        """Log in as a browser would and give the cookies, as fields of a handshake."""
        browser = self.app.test_client()
        assert browser.get(f"/login/{name}{query}").text == "in"
        cookies = [browser.get_cookie(one) for one in ("session", "remember_token")]
        return [
            ("Cookie", "; ".join(f"{one.key}={one.value}" for one in cookies if one is not None))
        ]

    def logout(self, fields: Fields) -> None:
        """Log out by the page, with the cookies of `login`."""
        answer = self.app.test_client(use_cookies=False).get("/logout", headers=fields)
        assert answer.text == "out"

    def leave(self) -> None:
        """Hang up."""
        for client in self._clients:
            client.close()

    def _dial(self) -> RawClient:
        self._clients.append(dial(self._server))
        return self._clients[-1]


@contextlib.contextmanager
def serving(app: Flask, *, stack: Any = None, **options: Any) -> Iterator[House]:
    """Serve an app, wrapped, until the block ends; `options` are those of `wrap`."""
    wrapped = wrap(app if stack is None else stack, app=app, **{"router": Router(), **options})
    _settle_checks(wrapped)
    with running(wrapped) as server:
        house = House(app, server)
        try:
            yield house
        finally:
            house.leave()


def _settle_checks(wrapped: App) -> None:
    """Make the checks of this process now, unheard: what a test finds in the log comes from what it
    does.

    They would be made with the first upgrade, and find that nobody patched the tests' process.
    """
    wrapped.monitor()  # it, and what it counts in, are made at first need
    assert wrapped._runtime is not None
    logger = logging.getLogger("tina4_wsgi.checks")
    logger.disabled = True
    try:
        wrapped._runtime.look_around()
    finally:
        logger.disabled = False


def ask(client: RawClient, message: str = "?") -> Any:
    """Send a message and give the JSON that comes back."""
    client.send_text(message)
    return json.loads(client.read_text())


def eventually(look: Callable[[], object], what: str) -> None:
    """Let the server run until `look` finds something true."""
    with gevent.Timeout(PATIENCE_S, AssertionError(f"still not so: {what}")):
        while not look():
            gevent.sleep(0.005)


class StoredSession(CallbackDict[str, Any], SessionMixin):
    """A session that the server keeps."""

    def __init__(self, sid: str, content: dict[str, Any]) -> None:
        super().__init__(content, lambda session: setattr(session, "modified", True))
        self.sid = sid
        self.modified = False


class Store(SessionInterface):
    """Keeps sessions by an id in the cookie, as Flask-Session does.

    Attributes:
        contents: of each session by its id.
    """

    def __init__(self) -> None:
        self.contents: dict[str, dict[str, Any]] = {}

    def open_session(self, app: Flask, request: Any) -> StoredSession:
        sid = request.cookies.get(self.get_cookie_name(app)) or f"sid-{len(self.contents)}"
        return StoredSession(sid, dict(self.contents.get(sid, {})))

    def save_session(self, app: Flask, session: Any, response: Any) -> None:
        self.contents[session.sid] = dict(session)
        response.set_cookie(self.get_cookie_name(app), session.sid)
