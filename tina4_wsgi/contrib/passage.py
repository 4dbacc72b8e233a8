"""Sends each WebSocket event through a framework as a request of its own.

How it works. An event is a GET of the handshake's address. `PassingBridge` calls the WSGI
application with it, middleware and all; the environ holds the `Event` under a key of ours. Where
the framework looks for its view, a hook that the bridge has installed finds the event and runs it
in the view's place. So a callback sees what a view would see at this moment, whatever patches the
framework (error trackers, tracers) sees an ordinary request, and what cleans up behind requests
cleans up behind events.

Invariants: an event runs at most once, however often a middleware calls on. "close" always runs.
An exception that nobody expects is raised again, so that one place logs it.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, NoReturn

from werkzeug.exceptions import HTTPException

from ..errors import ConnectionClosed, MessageError, Refused
from ..http.headers import told
from ..protocol.frames import CloseCode
from ..websocket.bridge import Bridge, Environ, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from _typeshed import OptExcInfo
    from _typeshed.wsgi import WSGIApplication

    from ..routing.matching import Match
    from ..websocket.connection import Connection

logger = logging.getLogger("tina4_wsgi.contrib")

KEY = "tina4_wsgi.event"


class Interrupted(Exception):
    """Stands for a SystemExit, a timeout or a killed greenlet, so that frameworks clean up."""


QUIET = (ConnectionClosed, MessageError, Refused, HTTPException, Interrupted)
"""Exceptions by which callbacks and `auth` answer, and which no framework need know of."""

_PARAMETER = re.compile(r"<(?:[^<>]*:)?(\w+)>")


class Passage:
    """One request of ours on its way through a WSGI application, and the answer that came out.

    Attributes:
        is_called: whether the request reached its end, so that no middleware answered in its place.
        status: of the answer; 0 for none.
        headers: of the answer.
    """

    __slots__ = ("headers", "is_called", "status")

    key = KEY
    """Where the environ has the passage; no header gets a name without `HTTP_`."""

    def __init__(self) -> None:
        self.is_called = False
        self.status = 0
        self.headers: Sequence[tuple[str, str]] = ()

    def pass_through(self, app: WSGIApplication, environ: Environ) -> None:
        """Send a request through an application, and note the answer.

        Raises:
            Exception: whatever leaves the application.
        """
        answer = app({**environ, self.key: self}, self._start_response)

        try:
            for _ in answer:
                # Middleware that answers in the application's place may never end its body.
                if self.status and not self.is_called:
                    break
        finally:
            close = getattr(answer, "close", None)
            if close is not None:
                close()

    def header(self, name: str) -> str:
        """Return a field of the answer, "" if it has none."""
        return next((value for field, value in self.headers if field.lower() == name), "")

    def note_failure(self, error: BaseException) -> None:
        """Note an exception that middleware answers with a page of its own."""

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None
    ) -> Callable[[bytes], None]:
        self.status = int(status[:3])
        self.headers = headers
        if exc_info and exc_info[1] is not None:
            self.note_failure(exc_info[1])
        return _ignore


class Event(Passage):
    """One event on its way, and what came of it.

    Attributes:
        name: "auth", "open", "message" or "close".
        match: the route and the parameters of its path.
        call: runs the callback or `auth`.
        connection: whose event it is; None for "auth".
        is_handshake: whether this is an "auth" before the 101, and not one that is asked again.
        result: what the callback returned.
        error: what the callback raised.
        failure: an exception of something else, such as middleware, that had no answer.
        answered_by: the name of the middleware that answered; "" if it isn't known.
    """

    __slots__ = (
        "answered_by",
        "call",
        "connection",
        "error",
        "failure",
        "is_handshake",
        "match",
        "name",
        "result",
    )

    def __init__(self, environ: Environ, name: str, call: Callable[[], object]) -> None:
        super().__init__()
        self.name = name
        self.call = call
        self.match: Match = environ["tina4_wsgi.match"]
        self.connection: Connection | None = environ.get("tina4_wsgi.connection")
        self.is_handshake = "HTTP_UPGRADE" in environ or "HTTP_TINA4_PROBE" in environ
        self.result: object = None
        self.error: BaseException | None = None
        self.failure: BaseException | None = None
        self.answered_by = ""

    def run(self) -> None:
        """Call `call`, once, even if a middleware tries again."""
        if self.is_called:
            if self.error is not None:
                raise self.error if isinstance(self.error, Exception) else Interrupted
            return

        self.is_called = True
        try:
            self.result = self.call()
        except Exception as exc:
            self.error = exc
            raise
        except BaseException as exc:
            self.error = exc
            raise Interrupted from exc

    def note_failure(self, error: BaseException) -> None:
        """Note an exception, unless it is the callback's own."""
        if error is not self.error:
            self.failure = error

    def __str__(self) -> str:
        who = self.answered_by or "the application"
        location = self.header("location")
        return f"{who} answered {self.status}" + (f" to {location[:200]!r}" if location else "")


class PassingBridge(Bridge):
    """A bridge whose events go through the WSGI application.

    Args:
        stack: the application that requests go to: the framework's, or middleware around it.
        answers: the framework's own exceptions that stand for an answer.

    Attributes:
        refusing: the text that a refused client gets.
        logger: where it is logged that something else answered in the place of a callback.
    """

    refusing = "the site does not let you in here"
    logger = logger

    def __init__(self, stack: WSGIApplication, answers: tuple[type[BaseException], ...]) -> None:
        self._stack = stack
        self._answers = answers

    def admit(self, environ: Environ, match: Match) -> None:
        """Ask the middleware; for a route with `auth`, the event "auth" does that."""
        if match.route.auth is None:
            environ["tina4_wsgi.match"] = match
            self.run(environ, "auth", nothing)

    def run(self, environ: Environ, event: str, call: Callable[[], object]) -> object:
        """Run `call` in the place of the view.

        Raises:
            Refused: before the 101, by a middleware or by an exception that the framework answers.
            ConnectionClosed: afterwards, by the same; the connection is closed.
        """
        return self.outcome_of(Event(environ, event, call), environ)

    def outcome_of(self, event: Event, environ: Environ) -> object:
        """Send an event on its way, and return what its callback returned; raises as `run` does."""
        try:
            self.send(event, environ)
        except Exception as exc:  # noqa: BLE001  # `_outcome` decides what it means
            if exc is not event.error and not isinstance(exc, Interrupted):
                event.failure = exc

        try:
            if event.name == "close" and not event.is_called:
                self._close_all_the_same(event, environ)
            return self._outcome(event)
        finally:
            event.error = event.failure = None  # their tracebacks hold this frame

    def send(self, event: Event, environ: Environ) -> None:
        """Send an event through the application."""
        event.pass_through(self._stack, environ)

    def run_unhindered(self, event: Event, environ: Environ) -> None:
        """Run a "close" that middleware has kept from its callback."""
        event.run()

    def is_expected(self, event: Event) -> bool:
        """Return whether the framework answers what the callback raised; 500 is no answer."""
        return isinstance(event.error, self._answers) or event.status not in (0, 500)

    def _close_all_the_same(self, event: Event, environ: Environ) -> None:
        """Run "close" though middleware refused it: the callback takes its user off the lists."""
        if event.failure is not None and not isinstance(event.failure, self._answers):
            self.logger.error(
                "middleware raised at 'close' on %r", event.match.route.path, exc_info=event.failure
            )
        event.failure = None
        try:
            self.run_unhindered(event, environ)
        except Exception as exc:
            if exc is not event.error and not isinstance(exc, Interrupted):
                raise

    def _outcome(self, event: Event) -> object:
        if event.error is not None:
            self.raise_error(event, event.error)
        if event.failure is not None:
            raise event.failure
        if event.is_called and event.status < 400:
            return event.result
        if event.connection is None:
            raise self._refusal(event, self.refusal_status(event))

        self.logger.warning("%r on %.200r: %s", event.name, event.connection.path, event)
        if not event.is_called:
            self._send_away(event)
        return event.result

    def raise_error(self, event: Event, error: BaseException) -> NoReturn:
        """Raise what the callback raised, or the refusal that it stands for."""
        is_the_apps = isinstance(error, Exception) and not isinstance(
            error, ConnectionClosed | MessageError
        )
        if isinstance(error, HTTPException):
            status = error.code or 403
        elif isinstance(error, Refused):
            status = error.status
        elif not (is_the_apps and self.is_expected(event)):
            raise error
        else:
            status = event.status

        if event.connection is None:
            raise (
                error
                if isinstance(error, QUIET)
                else self._refusal(event, status if status >= 400 else 403)
            ) from error
        if status in (401, 403):
            refuse(status, event.connection)
        raise error

    def _send_away(self, event: Event) -> None:
        status = self.refusal_status(event)
        if status < 500:
            refuse(status, event.connection)
        assert event.connection is not None
        event.connection.close(CloseCode.TRY_AGAIN_LATER, self.refusing)

    def refusal_status(self, event: Event) -> int:
        """Return the status with which an answer in the callback's place refuses.

        A redirect is 403: it would lead a WebSocket nowhere.
        """
        return event.status if event.status >= 400 else 403

    def _refusal(self, event: Event, status: int) -> Refused:
        return Refused(status, self.refusing, told(event.headers), detail=str(event))


def nothing() -> None:
    """Stand in for the `auth` of a route without one."""


def _ignore(data: bytes) -> None:
    """Stand in for a server's `write`."""


def plain(rule: str) -> str:
    """Return a route's rule with names alone: "/ws/{number}" for "/ws/<int:number>"."""
    return _PARAMETER.sub(r"{\1}", rule)


def class_named(app: object, name: str, *members: str) -> type | None:
    """Find a class of this name among those of an object; it may be of a copy of its package.

    Args:
        members: attributes that the object must have, so that nothing else is taken for it.
    """
    for one in type(app).__mro__:
        if one.__name__ == name and all(hasattr(app, member) for member in members):
            return one
    return None


def path_to(stack: object, is_meant: Callable[[object], bool]) -> str | None:
    """Return the attributes that lead from middleware to its application, as ".app.app".

    Returns:
        None if the application isn't found.
    """
    waiting: list[tuple[str, object]] = [("", stack)]
    seen: set[int] = set()
    while waiting:
        path, one = waiting.pop(0)
        if is_meant(one):
            return path
        if id(one) in seen or path.count(".") > _MOST_STEPS:
            continue

        seen.add(id(one))
        waiting += [(f"{path}.{name}", inner) for name, inner in _parts(one) if callable(inner)]
    return None


_MOST_STEPS = 12


def _parts(one: object) -> Iterable[tuple[str, object]]:
    values: Mapping[str, object] = getattr(one, "__dict__", {}) if not isinstance(one, type) else {}
    return [(name, value) for name, value in values.items() if not name.startswith("__")]
