"""What a test client sees of the app: which callbacks run, and what they raise."""

from __future__ import annotations

import traceback
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

from greenlet import getcurrent

from ..errors import ConnectionClosed
from ..websocket.connection import Accepted
from ..websocket.lifecycle import Served


class SpiedRoute:
    """A route as the app serves it, with an eye on one connection's callbacks.

    Attributes:
        connection: the server's side, None before "open".
        running: the event whose callback runs now, "" for none.
        is_opened: whether "open" has returned.
        is_over: whether "close" has returned.
    """

    def __init__(self, served: Served, onlooker: TestSpy) -> None:
        self._served = served
        self._onlooker = onlooker
        self.connection: Any = None  # a Connection
        self._greenlet: Any = None
        self.running = ""
        self.is_opened = False
        self.is_over = False

    def __getattr__(self, name: str) -> Any:  # Any: whatever the route has
        return getattr(self._served, name)

    def callback(self, connection: Any, event: str, data: Any) -> object:
        """Call the route's callback, and give what it returns."""
        results: list[object] = []
        self.connection, self.running, self._greenlet = connection, event, getcurrent()
        try:
            self._onlooker.call(self._call, results, connection, event, data)
        except Exception as exc:
            if not (isinstance(exc, ConnectionClosed) and connection.closed):
                self._onlooker.failed(exc)
            raise
        finally:
            self.running, self._greenlet = "", None
            self.is_opened = True
            self.is_over = event == "close"
            self._onlooker.notify()

        return results[0] if results else None

    def _call(self, results: list[object], *args: Any) -> None:
        results.append(self._served.callback(*args))

    def describe(self) -> str:
        """Say which callback runs, and the line of the app that it waits in."""
        if not self.running:
            return f"{self.path} has not been called for what was sent"
        where = _line_of_app(self._greenlet.gr_frame)
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
    """Stands in the environ of a client's requests.

    Args:
        notify: wakes a test that waits.
        call: calls a callback; `None` is where the app calls it.

    Attributes:
        apps: those that took a WebSocket of this client.
        errors: what callbacks and handlers raised, oldest first; whoever raises one takes it away.
    """

    def __init__(
        self, notify: Callable[[], None], call: Callable[..., object] | None = None
    ) -> None:
        self.notify = notify
        self.call: Callable[..., object] = _call if call is None else call
        self.apps: weakref.WeakSet[Any] = weakref.WeakSet()
        self.errors: list[BaseException] = []
        self._observed: SpiedRoute | None = None

    def visiting(self, app: Any, visit: Accepted) -> Accepted:
        """Put ourselves between the connection and its route."""
        self.apps.add(app)
        self._observed = SpiedRoute(visit.service, self)
        return visit._replace(service=self._observed)

    def take(self) -> SpiedRoute | None:
        """Give the connection of the latest handshake, once; None if it was refused."""
        observed, self._observed = self._observed, None
        return observed

    def failed(self, error: BaseException) -> None:
        """Remember what the app's own code raised."""
        self.errors.append(error)
        self.notify()


def _call(function: Callable[..., object], *args: Any) -> None:
    function(*args)
