"""The request that Django's code sees for each event of a WebSocket."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.signed_cookies import SessionStore as CookieSession
from django.core.handlers.wsgi import WSGIRequest
from greenlet import getcurrent

from ...errors import UsageError
from ..passage import KEY, Event
from .scheme import with_http_scheme

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...routing.matching import Match
    from ...websocket.bridge import Environ
    from ...websocket.connection import Connection
    from .urls import EventUrls, RoutesFirst, Urlconf

current: ContextVar[HandshakeRequest] = ContextVar("tina4_wsgi.django.request")


class HandshakeRequest(WSGIRequest):  # type: ignore[misc]  # Django ships no types
    """The handshake as an `HttpRequest`: a GET without a body, made anew for each event.

    Middleware that treats WebSockets differently asks `getattr(request, "websocket_event", None)`.

    Attributes:
        websocket_event: "auth" before the 101 and when `auth` is asked again, then "open",
            "message", "close".
        connection: whose event it is; None for "auth".
        match: the route and the parameters of the path.
        event: the event that the request was made for.
        is_nested: whether the code of another event caused this one, and goes on after it.
        passed: the last middleware that let the request through.
        answered_by: the middleware whose `process_view` answered.
    """

    def __init__(self, environ: Environ, urls: EventUrls) -> None:
        # A copy: Django writes the decoded path into it.
        super().__init__(with_http_scheme(environ))

        event: Event = environ[KEY]
        self.event = event
        self.websocket_event = event.name
        self.connection: Connection | None = event.connection
        self.match: Match = event.match

        self._greenlet = getcurrent()
        self.is_nested = is_nested()
        self.passed: str | None = None
        self.answered_by = ""
        self._urls = urls
        self._urlconf: Urlconf = None
        self._session: SessionBase | None = None
        self._session_key: str | None = None
        self._has_renewed_hash = False

    def run_event(self) -> None:
        """Call the callback; the view of the route does that.

        Raises:
            UsageError: the callback changed the session in a way that needs a cookie.
        """
        self.event.run()
        try:
            self.check_session()
        except UsageError as exc:
            self.event.error = exc
            raise

    @property
    def urlconf(self) -> RoutesFirst:
        """The URLconf that resolves the request: the one that was set, behind our routes."""
        return self._urls.around(self._urlconf)

    @urlconf.setter
    def urlconf(self, urlconf: Urlconf) -> None:
        self._urlconf = urlconf

    @urlconf.deleter
    def urlconf(self) -> None:
        self._urlconf = None

    @property
    def session(self) -> SessionBase:
        """The session, if middleware has set one; a project's middleware may set its own kind."""
        if self._session is None:
            raise AttributeError("session")
        return self._session

    @session.setter
    def session(self, session: SessionBase) -> None:
        self._session = session
        if isinstance(session, SessionBase):
            self._session_key = session.session_key
            session.cycle_key = self._keep_key(session.cycle_key, session)

    def _keep_key(
        self, cycle_key: Callable[[], object], session: SessionBase
    ) -> Callable[[], object]:
        """Keep Django from renewing a session's key after SECRET_KEY has changed.

        With SECRET_KEY_FALLBACKS Django renews it at the next request. No cookie could tell the
        browser here, so each client that reconnects after the change would be logged out. Views
        still renew the key. A session without a user, as in `login()`, gets its new key.
        """

        def keep_or_cycle() -> None:
            if SESSION_KEY in session:
                self._has_renewed_hash = True
            else:
                cycle_key()

        return keep_or_cycle

    def check_session(self) -> None:
        """Check that the browser still has the session after the callback has changed it.

        Raises:
            UsageError: the change needs a cookie.
        """
        session = self._session
        if not isinstance(session, SessionBase) or not session.modified or session.is_empty():
            return

        is_cookie = isinstance(session, CookieSession) and not self._has_renewed_hash
        if is_cookie or self._session_key is None or session.session_key != self._session_key:
            raise UsageError(
                "the session was changed, but after the upgrade no cookie can reach the browser; "
                "expected this in a view, or a session that is stored on the server and that the "
                "browser has already"
            )


def is_nested() -> bool:
    """Return whether an event is running in this very greenlet."""
    outer = current.get(None)  # a greenlet that a callback has spawned inherits it
    return outer is not None and outer._greenlet is getcurrent()


def request() -> HandshakeRequest:
    """Return the request of the event that is running here, with `user` and `session` of now.

    Raises:
        UsageError: no event is running here.
    """
    found = current.get(None)
    if found is None:
        raise UsageError(
            "request() outside of an event, expected inside of a WebSocket callback or its `auth`"
        )
    return found
