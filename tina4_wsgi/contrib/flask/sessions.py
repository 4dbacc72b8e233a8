"""The session of a Flask app in callbacks: readable always, writable if the server keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import flask
from flask.sessions import NullSession, SecureCookieSession
from werkzeug.http import parse_cookie

from ...errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask.sessions import SessionMixin

_LOGIN_KEYS = frozenset({"_fresh", "_id", "_remember", "_remember_seconds", "_user_id"})
"""The keys of flask-login in a session; it may set them while it finds out who the user is."""


class SessionWriteError(UsageError):
    """A callback changed a session that is a cookie: after the upgrade no cookie can be set."""

    def __init__(self) -> None:
        super().__init__(
            "the session is a cookie and can't be written after the upgrade, nothing would carry "
            "it to the browser; keep it in connection.state or the database, write it in a view, "
            "or use a session that the server keeps (Flask-Session)"
        )


def guard(session: SessionMixin) -> dict[str, object] | None:
    """Make writing to a session that is a cookie raise at the write.

    Returns:
        For `keep`: the session's items, if it doesn't know itself whether it was modified.
    """
    if isinstance(session, SecureCookieSession) and not isinstance(session, NullSession):
        session.on_update = _refuse_write
    return None if hasattr(session, "modified") else dict(session)


def keep(app: flask.Flask, session: SessionMixin, before: dict[str, object] | None) -> None:
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


def as_it_came() -> Mapping[str, object]:
    """Open the current request's session again, as its cookie names it; empty without one."""
    # The proxy's own method; the type is that of the app.
    app: flask.Flask = flask.current_app._get_current_object()  # type: ignore[attr-defined]
    return app.session_interface.open_session(app, flask.request) or {}


def _refuse_write(session: SessionMixin) -> None:
    if "_login_user" in flask.g or not _is_login_note(session):
        raise SessionWriteError


def _is_login_note(session: SessionMixin) -> bool:
    """Return whether only flask-login changed the session, as it found out who the user is.

    Then it writes `_user_id` only for a remember cookie; otherwise `login_user` wrote that, which
    has to be kept.
    """
    app, request = flask.current_app, flask.request
    before = as_it_came()
    changed = {key for key in {*session, *before} if session.get(key) != before.get(key)}

    is_remembered = app.config.get("REMEMBER_COOKIE_NAME", "remember_token") in request.cookies
    if "_user_id" in session and not is_remembered:
        return changed <= _LOGIN_KEYS - {"_user_id"}
    return changed <= _LOGIN_KEYS
