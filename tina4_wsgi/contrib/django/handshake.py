"""The request that Django's code sees for each event of a WebSocket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.signed_cookies import SessionStore as CookieSession
from django.core.handlers.wsgi import WSGIRequest
from greenlet import getcurrent

from ...errors import UsageError
from ..passage import KEY, Event
from .scheme import with_http_scheme
from .urls import EventUrls, RoutesFirst, Urlconf

if TYPE_CHECKING:
    from ...routing.matching import Match
    from ...websocket.connection import Connection

current: ContextVar[HandshakeRequest] = ContextVar("tina4_wsgi.django.request")


class HandshakeRequest(WSGIRequest):  # type: ignore[misc]  # Django ships no types
    """The handshake as an `HttpRequest`: a GET without a body, made anew for each event.

    Middleware that treats a WebSocket in a way of its own asks `getattr(request, "websocket_event",
    None)`.

    Attributes:
        websocket_event: "auth" before the 101 and when `auth` is asked again, then "open",
            "message", "close".
        connection: whose event it is; None for "auth".
        match: the route and the parameters of the path.
        event: what the request was made for.
        is_nested: whether the code of another event called for this one, and goes on behind it.
        passed: the last middleware that let it through.
        answered_by: the middleware whose `process_view` answered.
    """

    def __init__(self, environ: Mapping[str, Any], urls: EventUrls) -> None:
        super().__init__(
            with_http_scheme(environ)
        )  # a copy: Django writes the decoded path into it
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
        self._session: Any = None
        self._session_key: str | None = None
        self._has_renewed_hash = False

    def run_event(self) -> None:
        """Call the callback; the view does that.

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
        """The URLconf that the request is resolved with: what was set, with the WebSocket routes in
        front.
        """
        return self._urls.around(self._urlconf)

    @urlconf.setter
    def urlconf(self, urlconf: Urlconf) -> None:
        self._urlconf = urlconf

    @urlconf.deleter
    def urlconf(self) -> None:
        self._urlconf = None

    @property
    def session(self) -> Any:  # Any: what the project's middleware puts there
        """The session; there is none without a middleware that gives one."""
        if self._session is None:
            raise AttributeError("session")
        return self._session

    @session.setter
    def session(self, session: Any) -> None:
        self._session = session
        if isinstance(session, SessionBase):
            self._session_key = session.session_key
            session.cycle_key = self._keep_key(session.cycle_key, session)

    def _keep_key(self, cycle_key: Callable[[], object], session: Any) -> Callable[[], object]:
        """Keep Django from renewing the key of a session because SECRET_KEY has changed
        (SECRET_KEY_FALLBACKS).

        No cookie could tell the browser, so all who reconnect after the change would be logged out.
        Views still do it. For a session without a user, as in `login()`, nothing is changed.
        """

        def keep_or_cycle() -> None:
            if SESSION_KEY in session:
                self._has_renewed_hash = True
            else:
                cycle_key()

        return keep_or_cycle

    def check_session(self) -> None:
        """See whether the browser will still have the session after what the callback did with it.

        Raises:
            UsageError: it was changed, and that needs a cookie.
        """
        session = self._session
        if not isinstance(session, SessionBase) or not session.modified or session.is_empty():
            return
        is_cookie = isinstance(session, CookieSession) and not self._has_renewed_hash
        if is_cookie or self._session_key is None or session.session_key != self._session_key:
            raise UsageError(
                "the session was changed, but after the upgrade no cookie can reach the browser; "
                "expected this "
                "in a view, or a session that is stored on the server and that the browser has "
                "already"
            )


def is_nested() -> bool:
    """Say whether an event is running here, in this very greenlet."""
    outer = current.get(None)  # also a greenlet that a callback has spawned inherits it
    return outer is not None and outer._greenlet is getcurrent()


def request() -> HandshakeRequest:
    """Give the request of the event that is running here, with `user` and `session` as they are
    now.

    Raises:
        UsageError: none is running here.
    """
    found = current.get(None)
    if found is None:
        raise UsageError(
            "request() outside of an event, expected inside of a WebSocket callback or its `auth`"
        )
    return found
