"""The session of a Flask app in callbacks: readable everywhere, writable where the server keeps
it.
"""

from __future__ import annotations

from typing import Any

import flask
from flask.sessions import NullSession, SecureCookieSession
from werkzeug.http import parse_cookie

from ...errors import UsageError

_LOGIN_KEYS = frozenset({"_fresh", "_id", "_remember", "_remember_seconds", "_user_id"})
"""What flask-login keeps in a session, and may note there while it finds out who somebody is."""


class SessionWriteError(UsageError):
    """A callback wrote into a session that lives in a cookie, and after the upgrade no cookie can
    be set.
    """

    def __init__(self) -> None:
        super().__init__(
            "the session is a cookie and can't be written after the upgrade, nothing would carry "
            "it to the "
            "browser; keep it in connection.state or the database, write it in a view, or use a "
            "session "
            "that the server keeps (Flask-Session)"
        )


def guard(session: Any) -> dict[str, Any] | None:  # Any: whatever the app's session interface opens
    """Have writing to a session in a cookie raise where it is written.

    Returns:
        For `keep`: what it holds, where it doesn't say itself whether it was modified.
    """
    if isinstance(session, SecureCookieSession) and not isinstance(session, NullSession):
        session.on_update = _refuse_write
    return None if hasattr(session, "modified") else dict(session)


def keep(app: flask.Flask, session: Any, before: dict[str, Any] | None) -> None:  # Any: as above
    """Save a session that the server keeps, and refuse changes that would have gone into a cookie.

    Args:
        before: what `guard` returned.
    """
    is_modified = session.modified if before is None else dict(session) != before
    if not is_modified or isinstance(session, NullSession):
        return

    response = app.response_class()
    app.session_interface.save_session(app, session, response)

    cookies = flask.request.cookies
    for field in response.headers.getlist("Set-Cookie"):
        for name, value in parse_cookie(field.partition(";")[0]).items():
            if cookies.get(name) != value and not _is_login_note(session):
                raise SessionWriteError


def as_it_came() -> Any:  # Any: a session, or an empty dict
    """Open the current request's session once more, as its cookie names it."""
    app: Any = flask.current_app
    return app.session_interface.open_session(app, flask.request) or {}


def _refuse_write(session: Any) -> None:
    if "_login_user" in flask.g or not _is_login_note(session):
        raise SessionWriteError


def _is_login_note(session: Any) -> bool:
    """Return whether nothing has changed but what flask-login notes while it finds out who this is.

    It writes `_user_id` only for a remember cookie; else that was `login_user`, which wants to be
    kept.
    """
    app, request = flask.current_app, flask.request
    before: Any = as_it_came()
    changed = {key for key in {*session, *before} if session.get(key) != before.get(key)}

    is_remembered = app.config.get("REMEMBER_COOKIE_NAME", "remember_token") in request.cookies
    if "_user_id" in session and not is_remembered:
        return changed <= _LOGIN_KEYS - {"_user_id"}
    return changed <= _LOGIN_KEYS
