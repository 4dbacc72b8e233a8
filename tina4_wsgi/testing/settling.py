"""What the WebSockets of one test client share: the hub, the app's errors, and when it is done."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .errors import NotSettled
from .runner import Runner
from .spying import TestSpy, call_here

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .websocket import WebSocket

CUT_AFTER_S = 1.0
"""How long a closing client waits for a running callback; a browser's tab is closed no later."""


class Settling:
    """Runs the app on behalf of a test.

    Args:
        timeout_s: how long anything may take for which the test names no time.
        raises: whether what the app's own code raises is raised in the test.
        in_test_greenlet: whether callbacks run in the greenlet that waits here.

    Attributes:
        websockets: those of the client that are not over.
    """

    def __init__(self, timeout_s: float, raises: bool, in_test_greenlet: bool) -> None:
        self.runner = Runner()
        self.spy = TestSpy(self.runner.notify, self.runner.call if in_test_greenlet else call_here)
        self.timeout_s = timeout_s
        self.raises = raises
        self.websockets: list[WebSocket] = []

    @property
    def has_error(self) -> bool:
        """Whether there is an error to raise."""
        return self.raises and bool(self.spy.errors)

    def raise_error(self) -> None:
        """Raise the oldest error of the app's own code that no test has seen yet."""
        if self.has_error:
            raise self.spy.errors.pop(0)

    def settle(self, websockets: Iterable[WebSocket], timeout_s: float | None = None) -> None:
        """Run until the app has done all it had to do for these, and has nothing left to run.

        Raises:
            NotSettled: that took too long.
        """
        waiting = list(websockets)
        limit_s = self.timeout_s if timeout_s is None else timeout_s
        give_up_at = time.monotonic() + limit_s
        while True:
            is_idle = self.runner.idle(max(0.0, give_up_at - time.monotonic()))
            self.raise_error()
            if is_idle and not _is_any_busy(waiting):
                return

            self.runner.until(
                lambda: self.has_error or not _is_any_busy(waiting),
                give_up_at - time.monotonic(),
            )
            self.raise_error()
            if time.monotonic() >= give_up_at:
                raise not_settled(waiting, limit_s)

    def run_until_idle(self) -> None:
        """Run until nothing is left to run now, without waiting for timers or peers."""
        self.runner.idle(self.timeout_s)


def _is_any_busy(websockets: Iterable[WebSocket]) -> bool:
    return any(one.is_busy for one in websockets)


def not_settled(websockets: Iterable[WebSocket], limit_s: float) -> NotSettled:
    """Make the error that says what the app has yet to do."""
    work = [one.describe_work() for one in websockets if one.is_busy]
    return NotSettled(f"after {limit_s:g} s {'; '.join(work) or 'the hub was still busy'}")
