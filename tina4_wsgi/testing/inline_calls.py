"""Callbacks that run in the test's own greenlet.

Under monkey-patching a thread-local belongs to a greenlet, and with it a database connection and
its open transaction, as of Django's `TestCase`. A callback that is to see them must run where the
test runs; so its own greenlet hands it over and waits.
"""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import Callable
from typing import Any

from gevent.event import Event
from greenlet import GreenletExit


class Errands:
    """What waits to be done in the test's greenlet.

    Args:
        notify: wakes the test.
    """

    def __init__(self, notify: Callable[[], None]) -> None:
        self._notify = notify
        self._waiting: deque[_InlineCall] = deque()

    def call(self, function: Callable[..., object], *args: Any) -> None:
        """Have `function(*args)` done, and wait for it; what it raises is raised here."""
        errand = _InlineCall(function, args)
        self._waiting.append(errand)
        self._notify()
        errand.is_done.wait()
        if errand.error is not None:
            raise errand.error

    def run(self) -> None:
        """Do what waits, one after the other. The test's greenlet calls this."""
        while self._waiting:
            self._waiting.popleft().do()


class _InlineCall:
    """One call."""

    def __init__(self, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        self._function = function
        self._args = args
        self.is_done = Event()
        self.error: BaseException | None = None

    def do(self) -> None:
        try:
            # A context of its own, as the app gives to each callback.
            contextvars.Context().run(self._function, *self._args)
        except Exception as exc:  # noqa: BLE001  # raised where it was called
            self.error = exc
        except BaseException:  # the test itself is to end: ^C, a deadline
            self.error = GreenletExit()
            raise
        finally:
            self.is_done.set()
