"""The way of a WebSocket event through a framework: in by the door that requests take, and out
again.

How it works. An event is a request of its own, a GET of the handshake's address. `PassingBridge`
calls the WSGI application with it, middleware and all, and in the environ lies the `Event`, under a
key of ours. Where the framework looks for its view, a hook that the bridge has put there finds the
event and has it run in the view's place. So what a callback sees is what a view would see at this
moment, whatever patches the framework (error trackers, tracers) sees an ordinary request, and what
cleans up behind requests cleans up behind events.

Invariants: an event runs at most once, however often a middleware calls on. "close" always runs.
What nobody expects is raised again, so that one place logs it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import HTTPException

from ..errors import ConnectionClosed, MessageError, Refused
from ..protocol.frames import CloseCode
from ..routing.matching import Match
from ..websocket.bridge import Bridge, Environ, refuse

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from ..websocket.connection import Connection

logger = logging.getLogger("tina4_wsgi.contrib")

KEY = "tina4_wsgi.event"


class Interrupted(Exception):
    """Stands for a SystemExit, a timeout or a killed greenlet, past which frameworks would not
    clean up.
    """


QUIET = (ConnectionClosed, MessageError, Refused, HTTPException, Interrupted)
"""What callbacks and `auth` raise in the course of things; a framework need not know."""

_PASSED_ON = frozenset({"www-authenticate", "retry-after"})
_PARAMETER = re.compile(r"<(?:[^<>]*:)?(\w+)>")


class Event:
    """One event on its way, and what became of it.

    Attributes:
        name: "auth", "open", "message" or "close".
        match: the route and the parameters of its path.
        connection: whose event it is; None for "auth".
        is_handshake: whether this is asked before the 101, not again later.
        is_called: whether the callback was reached, so that no middleware answered in its place.
        result: what the callback gave.
        error: what the callback raised.
        failure: what else was raised and nobody answered, as by a middleware.
        status: of the answer that came out in the end; 0 for none.
        headers: of that answer.
        answered_by: the name of the middleware that answered, as far as it is known.
    """

    __slots__ = (
        "_call",
        "answered_by",
        "connection",
        "error",
        "failure",
        "headers",
        "is_called",
        "is_handshake",
        "match",
        "name",
        "result",
        "status",
    )

    def __init__(self, environ: Environ, name: str, call: Callable[[], object]) -> None:
        self.name = name
        self.match: Match = environ["tina4_wsgi.match"]
        self.connection: Connection | None = environ.get("tina4_wsgi.connection")
        self.is_handshake = "HTTP_UPGRADE" in environ or "HTTP_TINA4_PROBE" in environ
        self.is_called = False
        self.result: object = None
        self.error: BaseException | None = None
        self.failure: BaseException | None = None
        self.status = 0
        self.headers: Sequence[tuple[str, str]] = ()
        self.answered_by = ""
        self._call = call

    def run(self) -> None:
        """Call what stands in the place of a view; once, even if a middleware tries again."""
        if self.is_called:
            if self.error is not None:
                raise self.error if isinstance(self.error, Exception) else Interrupted
            return
        self.is_called = True
        try:
            self.result = self._call()
        except Exception as exc:
            self.error = exc
            raise
        except BaseException as exc:
            self.error = exc
            raise Interrupted from exc

    def pass_through(self, app: WSGIApplication, environ: Environ) -> None:
        """Send the event through an application as a request, and note the answer.

        Raises:
            Exception: whatever leaves the application.
        """
        answer = app({**environ, KEY: self}, self._start_response)
        try:
            for _ in answer:
                # Somebody else's answer may never end.
                if self.status and not self.is_called:
                    break
        finally:
            close = getattr(answer, "close", None)
            if close is not None:
                close()

    def header(self, name: str) -> str:
        """Give a field of the answer, "" if it has none."""
        return next((value for field, value in self.headers if field.lower() == name), "")

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[..., None]:
        self.status = int(status[:3])
        self.headers = headers
        if exc_info and exc_info[1] is not self.error:
            self.failure = exc_info[1]
        return lambda data: None

    def __str__(self) -> str:
        who = self.answered_by or "the application"
        location = self.header("location")
        return f"{who} answered {self.status}" + (f" to {location[:200]!r}" if location else "")


class PassingBridge(Bridge):
    """A bridge whose events go through the WSGI application.

    Args:
        stack: the application that requests go to; the framework's, or middleware around it.
        answers: the framework's own exceptions that stand for an answer.
    """

    def __init__(self, stack: WSGIApplication, answers: tuple[type[BaseException], ...]) -> None:
        self._stack = stack
        self._answers = answers

    def admit(self, environ: Environ, match: Match) -> None:
        """Ask the middleware; where a route has `auth` it is asked together with that."""
        if match.route.auth is None:
            environ["tina4_wsgi.match"] = match
            self.run(environ, "auth", _nothing)

    def run(self, environ: Environ, event: str, call: Callable[[], object]) -> object:
        """Have `call` take the place of the view.

        Raises:
            Refused: before the 101, by a middleware or by an exception that the framework answers.
            ConnectionClosed: the same afterwards; the connection is closed.
        """
        passing = Event(environ, event, call)
        try:
            self.send(passing, environ)
        except Exception as exc:  # noqa: BLE001  # what it means depends on how far it came
            if exc is not passing.error and not isinstance(exc, Interrupted):
                passing.failure = exc
        try:
            if event == "close" and not passing.is_called:
                self._close_all_the_same(passing, environ)
            return self._outcome(passing)
        finally:
            passing.error = passing.failure = None  # their tracebacks hold this frame

    def send(self, event: Event, environ: Environ) -> None:
        """Send an event through the application."""
        event.pass_through(self._stack, environ)

    def run_unhindered(self, event: Event, environ: Environ) -> None:
        """Run a "close" that middleware has kept from its callback."""
        event.run()

    def is_expected(self, event: Event) -> bool:
        """Say whether the framework has an answer to what the callback raised; 500 is none."""
        return isinstance(event.error, self._answers) or event.status not in (0, 500)

    def _close_all_the_same(self, event: Event, environ: Environ) -> None:
        """Run "close", which takes a user who may not be here any more off the lists."""
        if event.failure is not None and not isinstance(event.failure, self._answers):
            logger.error(
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
            self._raise_error(event, event.error)
        if event.failure is not None:
            raise event.failure
        if event.is_called and event.status < 400:
            return event.result
        if event.connection is None:
            raise _refusal(event, self.refusal_status(event))
        logger.warning("%r on %.200r: %s", event.name, event.connection.path, event)
        if not event.is_called:
            self._send_away(event)
        return event.result

    def _raise_error(self, event: Event, error: BaseException) -> None:
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
                else _refusal(event, status if status >= 400 else 403)
            ) from error
        if status in (401, 403):
            refuse(status, event.connection)
        raise error

    def _send_away(self, event: Event) -> None:
        status = self.refusal_status(event)
        if status < 500:
            refuse(status, event.connection)
        assert event.connection is not None
        event.connection.close(CloseCode.TRY_AGAIN_LATER, "the site does not let you in here")

    def refusal_status(self, event: Event) -> int:
        """Say with which status an answer in the callback's place refuses; a redirect would lead
        nowhere.
        """
        return event.status if event.status >= 400 else 403


def _refusal(event: Event, status: int) -> Refused:
    headers = tuple((name, value) for name, value in event.headers if name.lower() in _PASSED_ON)
    return Refused(status, "the site does not let you in here", headers, detail=str(event))


def _nothing() -> None:
    """Stands where a route has no `auth`."""


def plain(rule: str) -> str:
    """Give a route's rule with names alone in it: "/ws/{number}" for "/ws/<int:number>"."""
    return _PARAMETER.sub(r"{\1}", rule)


def class_named(app: object, name: str, *members: str) -> type | None:
    """Find a class of this name among those of an object, also where somebody has brought a copy of
    its package.

    Args:
        members: what instances must have, so that nothing is taken for what it isn't.
    """
    for one in type(app).__mro__:
        if one.__name__ == name and all(hasattr(app, member) for member in members):
            return one
    return None


def path_to(stack: object, is_meant: Callable[[object], bool]) -> str | None:
    """Say how to get from middleware to the application inside of it, as ".app.app"; None where
    that isn't seen.
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


def _parts(one: object) -> Iterable[tuple[str, Any]]:
    values: Mapping[str, Any] = getattr(one, "__dict__", {}) if not isinstance(one, type) else {}
    return [(name, value) for name, value in values.items() if not name.startswith("__")]
