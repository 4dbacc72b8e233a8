"""Closes the WebSockets of a session that any wrapped application logs out, in all processes.

A browser that logs out drops its cookie, and the WebSockets that it opened before go on. Of an
application that nobody knows two things can be seen from outside: a request to the address of its
log-out that succeeds, and which of the browser's cookies the answer replaces. The WebSockets whose
handshakes came with the same cookies are those of the session.

`contrib.flask` and `contrib.django` hear of log-outs from their frameworks, and need none of this.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING

import gevent
from gevent.hub import Hub
from werkzeug.http import parse_cookie

from ..errors import UsageError
from ..http.headers import cookie_text
from ..protocol.frames import CloseCode
from ..routing.paths import normal_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from ..app import App
    from ..backplane.contract import Facts

__all__ = ["close_on_logout"]

logger = logging.getLogger("tina4_wsgi.contrib")

_QUESTION = "logout"
_REASON = "logged out"

_SHORTEST = 16
"""Shorter values are no secrets, such as that of a language: others have the same."""

_AT_ONCE = 100
"""So many connections are compared before others may run: a millisecond's work."""


def close_on_logout(
    app: App,
    *paths: str,
    cookies: Iterable[str] = (),
    auth: Callable[[WSGIEnvironment], object] | None = None,
) -> None:
    """Close the WebSockets of each session that the wrapped application logs out, with 4401.

    A log-out is a request to one of `paths` that is answered with a status below 400. Its session's
    WebSockets, in all processes, are those whose handshake had a cookie that the answer replaces or
    deletes. They are told to close before the answer is sent.

    Args:
        paths: of the application's log-outs, below its root.
        cookies: the names of the session's cookies, where the answer leaves them alone.
        auth: instead of cookies: finds, in the environ of the request, the `connection.auth` of the
            user who leaves; all connections of the user are closed, see `App.disconnect`.
    Raises:
        UsageError: the app wraps nothing, or no path is given.
    """
    if not paths or not all(path.startswith("/") for path in paths):
        raise UsageError(f"close_on_logout(app, {paths!r:.100}), expected paths, as in /logout")
    names = frozenset([cookies] if isinstance(cookies, str) else cookies)
    logouts = _Logouts(app, frozenset(map(normal_path, paths)), names, auth)
    app.put_around_wrapped(logouts.around)
    app.answer_questions(logouts.answer)


class _Logouts:
    """The log-outs of one app."""

    def __init__(
        self,
        app: App,
        paths: frozenset[str],
        cookies: frozenset[str],
        auth: Callable[[WSGIEnvironment], object] | None,
    ) -> None:
        self._app = app
        self._paths = paths
        self._cookies = cookies
        self._auth = auth
        self._has_warned = False

    def around(self, wrapped: WSGIApplication) -> WSGIApplication:
        """Return the application with its log-outs watched."""

        def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            path = normal_path(environ.get("PATH_INFO") or "/")
            if path not in self._paths:
                return wrapped(environ, start_response)
            return wrapped(environ, self._watching(environ, path, start_response))

        return call

    def answer(self, question: Facts) -> Facts:
        """Begin to close the connections of this process that came with these cookies."""
        marks = question.get("marks")
        if question.get("ask") != _QUESTION or not isinstance(marks, dict) or not marks:
            return {}
        if isinstance(gevent.getcurrent(), Hub):
            gevent.spawn(self._close, marks)  # the hub must not wait
        else:
            self._close(marks)
        return {"begun": 1}

    def _watching(
        self, environ: WSGIEnvironment, path: str, start_response: StartResponse
    ) -> StartResponse:
        # By now: an application may change its environ, and forgets who has left.
        before = _cookies_of(environ)
        user = None if self._auth is None else self._safely(self._auth, environ)

        def start(
            status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None, /
        ) -> Callable[[bytes], object]:
            if int(status[:3]) < 400:
                if self._auth is None:
                    self._safely(self._tell, path, before, headers)
                elif user is not None:
                    self._safely(self._disconnect, user)
            arguments = () if exc_info is None else (exc_info,)
            return start_response(status, headers, *arguments)

        return start

    def _tell(self, path: str, before: Mapping[str, str], headers: list[tuple[str, str]]) -> None:
        replaced = self._cookies or _set_by(headers)
        marks = {
            name: _mark(name, value)
            for name, value in before.items()
            if name in replaced and (len(value) >= _SHORTEST or name in self._cookies)
        }
        if marks:
            self._app.ask_all({"ask": _QUESTION, "marks": marks})
        elif before and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "the answer of %r replaces none of the cookies %s, so no session is known to be "
                "logged out; name that of the session: close_on_logout(…, cookies=…)",
                path,
                ", ".join(sorted(before)),
            )

    def _disconnect(self, user: object) -> None:
        self._app.disconnect(auth=user, code=CloseCode.UNAUTHENTICATED, reason=_REASON)

    def _safely(self, call: Callable[..., object], *arguments: object) -> object:
        """Call, and log an error: it must not fail the log-out itself."""
        try:
            return call(*arguments)
        except Exception:
            logger.exception("the WebSockets of a session that was logged out could not be closed")
            return None

    def _close(self, marks: Mapping[str, object]) -> None:
        is_in_hub = isinstance(gevent.getcurrent().parent, Hub)  # and not in a thread of its own
        for number, connection in enumerate(self._app.connections_here(), 1):
            cookies = connection.cookies
            if any(_mark(name, cookies[name]) == marks[name] for name in marks if name in cookies):
                self._app.close_soon([connection], CloseCode.UNAUTHENTICATED, _REASON)
            if is_in_hub and number % _AT_ONCE == 0:
                gevent.sleep(0)
        if is_in_hub:
            gevent.sleep(0)  # so that the hub closes them before anything else is sent to them


def _cookies_of(environ: WSGIEnvironment) -> Mapping[str, str]:
    return dict(parse_cookie(cookie_text(environ)))


def _set_by(headers: Iterable[tuple[str, str]]) -> set[str]:
    """Return the names of the cookies that an answer sets or deletes."""
    return {
        value.partition("=")[0].strip() for field, value in headers if field.lower() == "set-cookie"
    }


def _mark(name: str, value: str) -> str:
    """Return a hash that identifies a cookie, of no use to readers of questions."""
    return hashlib.blake2b(f"{name}={value}".encode(errors="replace"), digest_size=16).hexdigest()
