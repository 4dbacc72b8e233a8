"""Closes the WebSockets of a session that flask-login logs out, in all processes.

A browser that logs out drops its cookie; the WebSockets that it opened before hold a copy, which
stays valid. So each process remembers the login of each of its connections, and flask-login's
signal makes all processes look for that of the log-out.
"""

from __future__ import annotations

import hashlib
import logging
import time
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

import flask

from ...protocol.frames import CloseCode
from . import sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flask_login import UserMixin

    from ...app import App
    from ...backplane.contract import Facts
    from ...websocket.connection import Connection

logger = logging.getLogger("tina4_wsgi.contrib.flask")

_QUESTION = "flask.logout"
_REASON = "logged out"

_LONGEST_S = 30.0
"""After this time a handshake is taken to have failed; far longer than any `auth` takes."""

_MOST_HANDSHAKES = 10_000
"""At most so many handshakes are remembered; a flood of failing ones takes at most a MiB."""


class Login(NamedTuple):
    """Identifies a session and its user.

    Attributes:
        user: the id that flask-login keeps.
        session: the id of a session that the server keeps, else flask-login's mark of the browser;
            "" if there is neither.
        cookies: a hash of the cookies that name the login, "" without any.
    """

    user: str
    session: str
    cookies: str


class LoginLogouts:
    """The logins of the connections of one app, in this process.

    Args:
        served: `app` as we serve it.
    """

    def __init__(self, app: flask.Flask, served: App) -> None:
        self._app = app
        self._served = weakref.proxy(served)  # which holds us, by its bridge
        self._logins: dict[Connection, Login] = {}
        self._handshakes = _Handshakes()

    @classmethod
    def of(cls, app: flask.Flask, served: App) -> LoginLogouts | None:
        """Listen to the log-outs of an app; None without flask-login."""
        try:
            from flask_login import user_logged_out  # not everybody has it
        except ImportError:
            return None
        logouts = cls(app, served)
        user_logged_out.connect(logouts._on_logout, app)
        return logouts

    def during_handshake(self, call: Callable[[], object]) -> object:
        """Run the `auth` of a handshake, which a log-out from now on ends.

        Its connection isn't known yet.
        """
        self._handshakes.begin(_cookie_hash(self._app))
        return call()

    def during(self, connection: Connection, event: str, call: Callable[[], object]) -> object:
        """Run an event of a connection, whose login is remembered from "open" to "close"."""
        if event == "open" and not self._open(connection):
            return None
        if event == "close":
            self._logins.pop(connection, None)
        return call()

    def answer(self, question: Facts) -> Facts:
        """Close the connections of a session that another process, or this one, has logged out."""
        users, session = question.get("users"), question.get("session")
        if (
            question.get("ask") != _QUESTION
            or not isinstance(users, list)
            or not isinstance(session, str)
        ):
            return {}

        self._handshakes.revoke(str(question.get("cookies")))
        ended = [
            one for one, login in list(self._logins.items()) if _is_meant(login, users, session)
        ]
        self._served.close_soon(ended, CloseCode.UNAUTHENTICATED, _REASON)
        return {"closed": len(ended)}

    def _open(self, connection: Connection) -> bool:
        """Remember the login of a connection; return False if it was logged out meanwhile."""
        login = _login_of_request(self._app)
        if login is None:
            return True
        self._logins[connection] = login
        if self._handshakes.end(login.cookies):
            return True
        connection.close(CloseCode.UNAUTHENTICATED, _REASON)
        return False

    def _on_logout(self, sender: object, user: UserMixin | None = None, **_: object) -> None:
        """Tell all processes; an error here must not fail the log-out itself."""
        try:
            self._served.ask_all(_question(self._app, user))
        except Exception:
            logger.exception("the WebSockets of a session that was logged out could not be closed")


class _Handshakes:
    """The handshakes that are under way, by the hash of their cookies."""

    def __init__(self) -> None:
        self._began_at_s: OrderedDict[str, float] = OrderedDict()  # on the monotonic clock
        self._revoked: set[str] = set()

    def begin(self, cookies: str) -> None:
        """Remember a handshake that begins; forget those that must have failed meanwhile."""
        now_s = time.monotonic()
        self._began_at_s.setdefault(cookies, now_s)
        while (
            next(iter(self._began_at_s.values())) < now_s - _LONGEST_S
            or len(self._began_at_s) > _MOST_HANDSHAKES
        ):
            self._revoked.discard(self._began_at_s.popitem(last=False)[0])

    def revoke(self, cookies: str) -> None:
        """Note that the session of these cookies is logged out."""
        if cookies in self._began_at_s:
            self._revoked.add(cookies)

    def end(self, cookies: str) -> bool:
        """Forget a handshake whose connection is open; return whether its session is valid."""
        self._began_at_s.pop(cookies, None)
        is_good = cookies not in self._revoked
        self._revoked.discard(cookies)
        return is_good


def _question(app: flask.Flask, user: UserMixin | None) -> Facts:
    """Return the question that names the session which the current request logs out."""
    # By now flask-login has removed its keys from the session.
    before = sessions.as_it_came()
    # An app may have changed the id, which is how log-outs of copied cookies are made to work.
    own_id = None if user is None else user.get_id()
    users = {str(own_id), str(before.get("_user_id", ""))} - {"", "None"}
    return {
        "ask": _QUESTION,
        "users": sorted(users),
        "session": _session_id(before),
        "cookies": _cookie_hash(app),
    }


def _login_of_request(app: flask.Flask) -> Login | None:
    """Return the login of the current request by its cookies alone, without loading the user."""
    user = flask.session.get("_user_id") or _remembered_user(app)
    if user is None:
        return None
    return Login(str(user), _session_id(flask.session), _cookie_hash(app))


def _remembered_user(app: flask.Flask) -> str | None:
    from flask_login import decode_cookie  # `LoginLogouts.of` has found it

    cookie = flask.request.cookies.get(_remember_name(app))
    found: str | None = None if cookie is None else decode_cookie(cookie)
    return found


def _remember_name(app: flask.Flask) -> str:
    name: str = app.config.get("REMEMBER_COOKIE_NAME", "remember_token")
    return name


def _session_id(session: Mapping[str, object]) -> str:
    found = getattr(session, "sid", None) or session.get("_id") or ""
    return str(found)


def _cookie_hash(app: flask.Flask) -> str:
    """Return a hash of a browser's login cookies, of no use to readers of questions."""
    cookies = flask.request.cookies
    session, remembered = (
        cookies.get(app.session_interface.get_cookie_name(app)),
        cookies.get(_remember_name(app)),
    )
    if session is None and remembered is None:
        return ""
    return hashlib.sha256(f"{session}\n{remembered}".encode(errors="replace")).hexdigest()


def _is_meant(login: Login, users: list[object], session: str) -> bool:
    """Return whether a login was logged out; sessions that can't be told apart count as one."""
    if login.user not in users:
        return False
    return not (login.session and session) or login.session == session
