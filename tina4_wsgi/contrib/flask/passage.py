"""Runs an event of a WebSocket at the inner end of a Flask app, in the place of a view.

`contrib.passage` sends the event down the middleware. The code here does what Flask does around a
view: it sends the signals, so that trackers know the route, the address and the user; it asks the
app's error handlers, and its `before_request` functions if that is wanted.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import flask
from werkzeug.exceptions import HTTPException, InternalServerError

from ...errors import ConnectionClosed, MessageError, Refused
from ...http.headers import status_line, told
from ...websocket.bridge import Environ, refuse
from .. import passage
from . import hooks, matching, sessions

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from flask.typing import ResponseReturnValue

logger = logging.getLogger("tina4_wsgi.contrib.flask")

AnyFlask = Any  # Flask 3.2 passes its methods one argument more, and OpenTelemetry adds its own

REFUSING = "the application refuses"

_DONE, _UNAUTHORIZED, _FORBIDDEN, _FAILED = 204, 401, 403, 500


class FlaskEvent(passage.Event):
    """One event of a Flask app.

    Args:
        app: the Flask app at the end of `way`.
        environ: of the handshake, with its match.
        name: "auth", "open", "message" or "close".
        call: what takes the place of the view.
        way: the middleware that the event passes, and the app inside it.
        asks_before_request: whether `before_request` functions are asked first.
    """

    key = hooks.KEY

    def __init__(
        self,
        app: flask.Flask,
        environ: Environ,
        name: str,
        call: Callable[[], object],
        way: WSGIApplication,
        *,
        asks_before_request: bool = False,
    ) -> None:
        super().__init__(environ, name, call)
        self.way = way

        self._app: AnyFlask = app
        self._asks_before_request = asks_before_request
        self._arguments: tuple[object, ...] = ()

    def note_failure(self, error: BaseException) -> None:
        """Ignore it: middleware inside a Flask app refuses by the page that it answers with."""

    def __str__(self) -> str:
        return f"middleware inside of the Flask app answered {self.status or _FAILED}"

    def dispatch(self, arguments: tuple[object, ...]) -> WSGIApplication:
        """Run the event in the app's context; see `hooks`."""
        app = self._app
        self.is_called = True
        self._arguments = arguments

        try:
            if flask.request_started.receivers:
                flask.request_started.send(app, _async_wrapper=app.ensure_sync)
            _begin_span(app)
            return self._run_auth() if self.name == "auth" else self._run_event()
        except (ConnectionClosed, MessageError, Refused):
            raise
        except Exception as exc:  # noqa: BLE001  # the app's handlers decide
            return self._handled(exc, app.handle_user_exception(*arguments, exc))

    def fail(self, error: Exception) -> WSGIApplication:
        """Note an error that no handler of the app took, and tell trackers; see `hooks`."""
        app = self._app
        self.is_called = True
        self.error = error
        if isinstance(error, ConnectionClosed | MessageError):
            return self._answer(_DONE)
        if isinstance(error, Refused):
            return self._answer(error.status)
        if isinstance(error, HTTPException):
            return self._answer(error.code or _FORBIDDEN)

        flask.got_request_exception.send(app, _async_wrapper=app.ensure_sync, exception=error)
        if self.name == "auth":
            self._ask_handler_of_500(error)
        return self._answer(_FAILED)

    def _run_auth(self) -> WSGIApplication:
        app = self._app
        matching.check_host(app, flask.request.environ)
        if self._asks_before_request:
            answer = app.preprocess_request(*self._arguments)
            if answer is not None:
                return self._refused(answer)
        self.result = self.call()
        return self._answer(_DONE)

    def _run_event(self) -> WSGIApplication:
        # The proxy's own method; the type is that of the session.
        session = flask.session._get_current_object()  # type: ignore[attr-defined]
        before = sessions.guard(session)
        self.result = self.call()
        sessions.keep(self._app, session, before)
        return self._answer(_DONE)

    def _handled(
        self, error: Exception, answer: HTTPException | ResponseReturnValue
    ) -> WSGIApplication:
        """Refuse as an error handler of the app answers; in an event only with 401 and 403."""
        if self.name == "auth":
            return self._refused(answer)
        status = (
            answer.code
            if isinstance(answer, HTTPException)
            else self._app.make_response(answer).status_code
        )
        if status not in (_UNAUTHORIZED, _FORBIDDEN):
            raise error

        try:
            refuse(status, self.connection)
        except ConnectionClosed as closed:
            self.error = closed
        return self._answer(status)

    def _refused(self, answer: HTTPException | ResponseReturnValue) -> WSGIApplication:
        """Refuse by an answer that the app gave in the place of the view's."""
        if isinstance(answer, HTTPException):
            self.error = answer
            return self._answer(answer.code or _FORBIDDEN)
        response = self._app.make_response(answer)
        fields = told(response.headers.items())
        self.error = Refused(refusal_status(response.status_code), REFUSING, fields)
        return self._answer(response.status_code)

    def _ask_handler_of_500(self, error: Exception) -> None:
        """Let the app's handler of 500 choose another status, such as 503."""
        problem = InternalServerError(original_exception=error)
        answer = self._app.handle_http_exception(*self._arguments, problem)
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


class Sighting(passage.Passage):
    """A request that only finds out what the middleware of an app makes of an environ.

    Attributes:
        environ: as the app sees it; None if middleware answered in its place.
    """

    key = hooks.KEY

    def __init__(self, app: flask.Flask) -> None:
        super().__init__()
        self.environ: Environ | None = None
        self._app = app

    def dispatch(self, arguments: tuple[object, ...]) -> WSGIApplication:
        """Note the environ; see `hooks`."""
        self.is_called = True
        self.environ = dict(flask.request.environ)
        _begin_span(self._app)
        return _ANSWER_OF_EVENT

    def fail(self, error: Exception) -> WSGIApplication:
        """Leave an error to the event that will follow."""
        self.is_called = True
        return answer(_FAILED)


def answer(status: int) -> WSGIApplication:
    """Return an application that answers without a body."""

    def respond(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        # Werkzeug's LintMiddleware wants a length even for a 204; no client sees this answer.
        fields = [("Content-Length", "0")]
        if status != _DONE:
            fields.append(("Content-Type", "text/plain"))
        start_response(status_line(status), fields)
        return []

    return respond


_ANSWER_OF_EVENT = answer(_DONE)


def refusal_status(status: int) -> int:
    """Return the status that refuses a handshake, where the app or its middleware answered this.

    A redirect, as to a log-in page, leads a WebSocket nowhere.
    """
    return status if 400 <= status < 600 else _FORBIDDEN


def _begin_span(app: AnyFlask) -> None:
    """Begin OpenTelemetry's span: its `before_request` function would, but those don't run."""
    if getattr(app, "_is_instrumented_by_opentelemetry", False):
        app._before_request()
