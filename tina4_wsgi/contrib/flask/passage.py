"""One event of a WebSocket on its way through an app: down its middleware, and at the end in place
of a view.

What middleware puts into the environ is there for the event, and middleware that answers by itself
refuses. Around the event are the signals that are around a view, so trackers know the route, the
address and the user.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import flask
from werkzeug.exceptions import HTTPException, InternalServerError

from ...errors import ConnectionClosed, MessageError, Refused
from ...http.headers import status_line
from ...protocol.frames import CloseCode
from ...websocket.bridge import Environ, refuse
from . import hooks, matching, sessions

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from ...websocket.connection import Connection

logger = logging.getLogger("tina4_wsgi.contrib.flask")

_REFUSING = "the application refuses"
_TOLD = frozenset({"www-authenticate", "retry-after"})
"""Header fields of a refusal that the client is told."""

_DONE, _UNAUTHORIZED, _FORBIDDEN, _FAILED = 204, 401, 403, 500

Fields = tuple[tuple[str, str], ...]


class Passage:
    """One event.

    Args:
        app: the Flask app at the end of the way.
        event: "auth", "open", "message" or "close".
        call: what takes the place of the view.
        connection: of the event; None for "auth".
        asks_before_request: whether `before_request` functions are asked first.

    Attributes:
        is_reached: whether the app was reached.
    """

    def __init__(
        self,
        app: flask.Flask,
        event: str,
        call: Callable[[], object],
        connection: Connection | None = None,
        *,
        asks_before_request: bool = False,
    ) -> None:
        self.is_reached = False
        self._app: Any = app  # Any: Flask 3.2 hands its methods one argument more
        self._event = event
        self._call = call
        self._connection = connection
        self._asks_before_request = asks_before_request
        self._arguments: tuple[Any, ...] = ()
        self._result: object = None
        self._error: Exception | None = None
        self._status = 0
        self._fields: Fields = ()

    def through(self, stack: WSGIApplication, environ: Environ) -> object:
        """Send the event down a stack of middleware, and return what `call` returned.

        Args:
            environ: made for this; it is changed.
        Raises:
            Refused: at "auth", by middleware, a `before_request` function or an error handler of
                the app.
            ConnectionClosed: later, by the same; the connection is closed.
            HTTPException: at "auth", raised there.
        """
        # Flask matches it as a WebSocket's.
        environ.update({"HTTP_CONNECTION": "Upgrade", "HTTP_UPGRADE": "websocket", hooks.KEY: self})
        if (
            flask.has_app_context()
        ):  # as in a callback that calls refresh_auth(): its `g` knows a user
            self._ask_in_own_context(stack, environ)
        else:
            self._ask(stack, environ)
        return self._outcome()

    def _outcome(self) -> object:
        error, self._error = self._error, None  # its traceback holds this frame
        try:
            if error is not None:
                raise error
        finally:
            del error
        if not self.is_reached or (self._event == "auth" and self._status >= 400):
            self._be_refused()
        return self._result

    def _ask_in_own_context(self, stack: WSGIApplication, environ: Environ) -> None:
        context = self._app.app_context()
        context.push()
        try:
            self._ask(stack, environ)
        finally:
            context.pop(self._error)

    def _ask(self, stack: WSGIApplication, environ: Environ) -> None:
        try:
            drain(stack(environ, self._start_response), self)
        except Exception:
            if self._error is not None:
                return  # that of the event comes first: it is what the middleware failed of
            if self._event != "close" or self.is_reached:
                raise
            logger.exception("middleware raised at 'close'")

    def _start_response(
        self, status: str, fields: list[tuple[str, str]], _: Any = None, /
    ) -> Callable[[bytes], None]:
        self._status = int(status[:3])
        self._fields = _told(fields) if self._status >= 400 else ()
        return _ignore

    def _be_refused(self) -> None:
        """Refuse as the middleware did that answered in the app's place; "close" is left to the
        caller.
        """
        if self._event == "close":
            return
        status = self._status or _FAILED
        if self._connection is None:
            detail = f"middleware inside of the Flask app answered {status}"
            raise Refused(_refusal_status(status), _REFUSING, self._fields, detail)
        logger.warning(
            "%r on %.200r: middleware inside of the Flask app answered %d",
            self._event,
            self._connection.path,
            status,
        )
        if status >= 500:
            self._connection.close(CloseCode.TRY_AGAIN_LATER, _REFUSING)
        else:
            refuse(status, self._connection)

    # -- inside of the app

    def run(self, arguments: tuple[Any, ...]) -> WSGIApplication:
        """Run the event in the app's context; see `hooks`."""
        app = self._app
        self.is_reached = True
        self._arguments = arguments
        try:
            if flask.request_started.receivers:
                flask.request_started.send(app, _async_wrapper=app.ensure_sync)
            _begin_span(app)
            return self._run_auth() if self._event == "auth" else self._run_event()
        except (ConnectionClosed, MessageError, Refused):
            raise
        except Exception as exc:  # noqa: BLE001  # for the app's error handlers, which raise again what isn't theirs
            return self._handled(exc, app.handle_user_exception(*arguments, exc))

    def fail(self, error: Exception) -> WSGIApplication:
        """Take note of an error that no handler of the app took, and tell trackers; see `hooks`."""
        app = self._app
        self.is_reached = True
        self._error = error
        if isinstance(error, ConnectionClosed | MessageError):
            return self._answer(_DONE)
        if isinstance(error, Refused):
            return self._answer(error.status)
        if isinstance(error, HTTPException):
            return self._answer(error.code or _FORBIDDEN)

        flask.got_request_exception.send(app, _async_wrapper=app.ensure_sync, exception=error)
        if self._event == "auth":
            self._ask_handler_of_500(error)
        return self._answer(_FAILED)

    def _run_auth(self) -> WSGIApplication:
        app = self._app
        matching.check_host(app, flask.request.environ)
        if self._asks_before_request:
            answer = app.preprocess_request(*self._arguments)
            if answer is not None:
                return self._refused(answer)
        self._result = self._call()
        return self._answer(_DONE)

    def _run_event(self) -> WSGIApplication:
        session = flask.session._get_current_object()  # type: ignore[attr-defined]  # the type is not the proxy's
        before = sessions.guard(session)
        self._result = self._call()
        sessions.keep(self._app, session, before)
        return self._answer(_DONE)

    def _handled(self, error: Exception, answer: Any) -> WSGIApplication:
        """Refuse as an error handler of the app says; in an event only 401 and 403 are more than an
        error.
        """
        if self._event == "auth":
            return self._refused(answer)
        status = (
            answer.code
            if isinstance(answer, HTTPException)
            else self._app.make_response(answer).status_code
        )
        if status not in (_UNAUTHORIZED, _FORBIDDEN):
            raise error
        try:
            refuse(status, self._connection)
        except ConnectionClosed as closed:
            self._error = closed
        return self._answer(status)

    def _refused(self, answer: Any) -> WSGIApplication:
        """Refuse by an answer that the app gave in place of the view's."""
        if isinstance(answer, HTTPException):
            self._error = answer
            return self._answer(answer.code or _FORBIDDEN)
        response = self._app.make_response(answer)
        fields = _told(response.headers.items())
        self._error = Refused(_refusal_status(response.status_code), _REFUSING, fields)
        return self._answer(response.status_code)

    def _ask_handler_of_500(self, error: Exception) -> None:
        """Let the app's handler of 500 choose another status, such as 503."""
        problem = InternalServerError(original_exception=error)
        answer: Any = self._app.handle_http_exception(*self._arguments, problem)
        if isinstance(answer, HTTPException):
            return
        response = self._app.make_response(answer)
        if response.status_code != _FAILED:
            logger.error("auth of %r raised", flask.request.path, exc_info=error)
            self._refused(response)

    def _answer(self, status: int) -> WSGIApplication:
        app = self._app
        if flask.request_finished.receivers:
            response = app.response_class(status=status)
            flask.request_finished.send(app, _async_wrapper=app.ensure_sync, response=response)
        return _ANSWER_OF_EVENT if status == _DONE else answer(status)


class Sighting:
    """A request that only finds out what an environ becomes behind the middleware of an app.

    Attributes:
        environ: as the app sees it; None if middleware answered in its place.
    """

    def __init__(self, app: flask.Flask) -> None:
        self.is_reached = False
        self.environ: Environ | None = None
        self._app = app

    def run(self, arguments: tuple[Any, ...]) -> WSGIApplication:
        """Take note of the environ."""
        self.is_reached = True
        self.environ = dict(flask.request.environ)
        _begin_span(self._app)
        return _ANSWER_OF_EVENT

    def fail(self, error: Exception) -> WSGIApplication:
        """Leave an error to the event that will follow."""
        self.is_reached = True
        return answer(_FAILED)


def drain(body: Any, passage: hooks.Passage) -> None:
    """Read a body to its end, as a server does; but not an answer of middleware, however long, in
    the app's place.
    """
    try:
        for data in body:
            if data and not passage.is_reached:
                break
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()


def answer(status: int) -> WSGIApplication:
    """Give what answers a request without a body."""

    def respond(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        # Werkzeug's LintMiddleware wants the length of a 204, too; none of this gets onto a wire.
        fields = [("Content-Length", "0")]
        if status != _DONE:
            fields.append(("Content-Type", "text/plain"))
        start_response(status_line(status), fields)
        return []

    return respond


_ANSWER_OF_EVENT = answer(_DONE)


def _refusal_status(status: int) -> int:
    """Return the status of a refused handshake; a redirect, as to a log-in page, leads a WebSocket
    nowhere.
    """
    return status if 400 <= status < 600 else _FORBIDDEN


def _told(fields: Any) -> Fields:
    return tuple((name, value) for name, value in fields if name.lower() in _TOLD)


def _begin_span(app: Any) -> None:  # Any: a flask.Flask, with what OpenTelemetry adds
    """Begin a span where OpenTelemetry looks on: it does so by a `before_request` function, and
    those don't run.
    """
    if getattr(app, "_is_instrumented_by_opentelemetry", False):
        app._before_request()


def _ignore(data: bytes) -> None:
    """Stand in for a server's `write`."""
