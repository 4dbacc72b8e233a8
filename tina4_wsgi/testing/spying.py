"""What a test client sees of the app: which callbacks run, and what they raise."""

from __future__ import annotations

import traceback
import weakref
from typing import TYPE_CHECKING, Any, cast

from greenlet import getcurrent

from ..errors import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from greenlet import greenlet

    from ..app import App
    from ..websocket.connection import Accepted, Connection
    from ..websocket.served_route import ServedRoute


class SpiedRoute:
    """A route as the app serves it, which tells how far one connection's callbacks are.

    Attributes:
        connection: the server's side, None before "open".
        running: the event whose callback runs now, "" for none.
        is_opened: whether "open" has returned.
        is_over: whether "close" has returned.
    """

    def __init__(self, served: ServedRoute, spy: TestSpy) -> None:
        self._served = served
        self._spy = spy
        self._greenlet: greenlet | None = None
        self.connection: Connection | None = None
        self.running = ""
        self.is_opened = False
        self.is_over = False

    def __getattr__(self, name: str) -> Any:  # Any: whatever the route has
        return getattr(self._served, name)

    def __copy__(self) -> SpiedRoute:
        # By default, `copy` would ask an object without attributes for one that it lacks.
        twin = object.__new__(SpiedRoute)
        twin.__dict__.update(self.__dict__)
        return twin

    def callback(self, connection: Connection, event: str, data: str | bytes) -> object:
        """Call the route's callback, and return what it returns."""
        self.connection, self.running, self._greenlet = connection, event, getcurrent()

        try:
            return self._spy.call(self._served.callback, connection, event, data)
        except Exception as exc:
            if not (isinstance(exc, ConnectionClosed) and connection.closed):
                self._spy.failed(exc)
            raise
        finally:
            self.running, self._greenlet = "", None
            self.is_opened = True
            self.is_over = event == "close"
            self._spy.notify()

    def describe(self) -> str:
        """Return which callback runs, and at which line of the app it waits."""
        if not self.running:
            return f"{self.path} has not been called for what was sent"
        where = _line_of_app(self._greenlet.gr_frame if self._greenlet is not None else None)
        return f"the callback of {self.path} has not returned from {self.running!r}{where}"


def _line_of_app(frame: FrameType | None) -> str:
    """Find the innermost line that is neither gevent's nor ours."""
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] not in ("gevent", "greenlet", "threading", "tina4_wsgi"):
            (line,) = traceback.StackSummary.extract([(frame, frame.f_lineno)])
            return f", it waits at {line.filename}:{line.lineno}: {line.line}"
        frame = frame.f_back
    return ""


class TestSpy:
    """The `Spy` in the environ of a client's requests.

    Args:
        notify: wakes a test that waits.
        call: calls a callback with its arguments, and returns what it returns.

    Attributes:
        apps: those that were asked for a WebSocket by this client.
        errors: what callbacks and handlers raised, oldest first, and no test has raised yet.
    """

    __test__ = False  # for pytest, which takes it for a test case

    def __init__(self, notify: Callable[[], None], call: Callable[..., object]) -> None:
        self.notify = notify
        self.call = call
        self.apps: weakref.WeakSet[App] = weakref.WeakSet()
        self.errors: list[BaseException] = []
        self._route: SpiedRoute | None = None

    def serving(self, app: App) -> None:
        """Remember whom to release at the end."""
        self.apps.add(app)

    def visiting(self, visit: Accepted) -> Accepted:
        """Put a spied route between the connection and its route."""
        self._route = SpiedRoute(visit.service, self)
        return visit._replace(service=cast("ServedRoute", self._route))

    def take(self) -> SpiedRoute | None:
        """Return the route of the latest handshake, once; None if the handshake was refused."""
        route, self._route = self._route, None
        return route

    def failed(self, error: BaseException) -> None:
        """Remember what the app's own code raised."""
        self.errors.append(error)
        self.notify()


def call_here(function: Callable[..., object], *args: Any) -> object:
    """Call a callback in the greenlet in which the app calls it."""
    return function(*args)
