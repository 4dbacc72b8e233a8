"""Closes the WebSockets of a session that is logged out, in all processes.

A browser that logs out drops its session; the WebSockets that it opened before would only notice at
their next re-check. So each process remembers the session of each of its connections, and the
signal `user_logged_out` makes all processes look for that of the log-out. Other sessions of the
same user stay.
"""

from __future__ import annotations

import hashlib
import logging
import time
import weakref
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.backends.base import SessionBase

from ...protocol.frames import CloseCode

if TYPE_CHECKING:
    from django.http import HttpRequest

    from ...app import App
    from ...backplane.contract import Facts
    from ...websocket.connection import Connection
    from ..passage import Event

logger = logging.getLogger("tina4_wsgi.django")

_QUESTION = "django.logout"
_REASON = "logged out"

_OPENING_S = 30.0
"""How long a log-out is remembered for handshakes under way; far longer than any `auth` takes."""


class SessionLogouts:
    """The sessions of the connections of one app, in this process.

    Args:
        served: the app.
    """

    def __init__(self, served: App) -> None:
        self._served = weakref.proxy(served)  # which holds us, by its bridge
        self._sessions: dict[Connection, str] = {}
        self._recent: dict[str, float] = {}
        user_logged_out.connect(self._on_logout)  # weakly: it ends with us

    def lets(self, event: Event, request: HttpRequest) -> bool:
        """Note the session of a connection that begins or ends.

        Returns:
            Whether the event may run: False for an "open" whose session was logged out meanwhile.
        """
        connection = event.connection
        if connection is None:
            return True
        if event.name == "close":
            self._sessions.pop(connection, None)
        if event.name != "open":
            return True

        marks = _marks_of(request)
        if not marks:
            return True

        self._sessions[connection] = marks[0]
        if self._recent.get(marks[0], 0.0) <= time.monotonic():
            return True
        connection.close(CloseCode.UNAUTHENTICATED, _REASON)
        return False

    def answer(self, question: Facts) -> Facts:
        """Close the connections of a session that another process, or this one, has logged out."""
        marks = question.get("sessions")
        if question.get("ask") != _QUESTION or not isinstance(marks, list) or not marks:
            return {}

        now_s = time.monotonic()
        self._recent = {one: until_s for one, until_s in self._recent.items() if until_s > now_s}
        self._recent.update((one, now_s + _OPENING_S) for one in marks if isinstance(one, str))
        ended = [one for one, mark in list(self._sessions.items()) if mark in marks]
        self._served.close_soon(ended, CloseCode.UNAUTHENTICATED, _REASON)
        return {"closed": len(ended)}

    def _on_logout(self, sender: object, request: HttpRequest | None, **_: object) -> None:
        """Tell all processes; an error here must not fail the log-out itself."""
        marks = _marks_of(request)
        if not marks:
            return
        try:
            self._served.ask_all({"ask": _QUESTION, "sessions": marks})
        except Exception:
            logger.exception("the WebSockets of a session that was logged out could not be closed")


def _marks_of(request: HttpRequest | None) -> list[str]:
    """Return hashes that identify a request's session, of no use to readers of questions.

    Returns:
        None of them without a session.
    """
    cookie = getattr(request, "COOKIES", {}).get(settings.SESSION_COOKIE_NAME)
    session = getattr(request, "session", None)
    key = session.session_key if isinstance(session, SessionBase) else None
    # A browser's cookie is the key. There is only a key in tests, and where middleware of the
    # project's reads it from elsewhere.
    found = dict.fromkeys(text for text in (cookie, key) if text)
    return [hashlib.blake2b(text.encode(), digest_size=16).hexdigest() for text in found]
