"""What the WebSockets of one test client share: the app's errors, and knowing when it has done all
it had to.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Protocol

from .errors import NotSettled
from .runner import Runner
from .spying import TestSpy

CUT_AFTER_S = 1.0
"""How long a client that leaves waits for the callback that runs; a browser's tab is closed no
later.
"""


class Participant(Protocol):
    """A WebSocket, as far as others wait for it."""

    @property
    def is_busy(self) -> bool:
        """Whether the app has yet to do something for it."""

    def describe_work(self) -> str:
        """Say what that is."""

    def abandon(self) -> None:
        """Close as well as it goes."""


class Settling:
    """Runs the app on behalf of a test.

    Args:
        timeout_s: how long anything may take for which the test names no time.
        raises: whether what the app's own code raises is raised in the test.
        in_test_greenlet: whether callbacks run in the greenlet that waits here.
    """

    def __init__(self, timeout_s: float, raises: bool, in_test_greenlet: bool) -> None:
        self.runner = Runner()
        self.onlooker = TestSpy(
            self.runner.notify, self.runner.errands.call if in_test_greenlet else None
        )
        self.timeout_s = timeout_s
        self.raises = raises
        self.actors: list[Participant] = []

    @property
    def has_error(self) -> bool:
        """Whether there is something to raise."""
        return self.raises and bool(self.onlooker.errors)

    def raise_error(self) -> None:
        """Raise what the app's own code raised first and the test has not seen yet."""
        if self.has_error:
            raise self.onlooker.errors.pop(0)

    def settle(self, actors: Iterable[Participant], timeout_s: float | None = None) -> None:
        """Run until the app has done all it had to do for `actors`, and has nothing left to run.

        Raises:
            NotSettled: that took too long.
        """
        actors = list(actors)
        limit_s = self.timeout_s if timeout_s is None else timeout_s
        give_up_at = time.monotonic() + limit_s
        while True:
            is_idle = self.runner.idle(max(0.0, give_up_at - time.monotonic()))
            self.raise_error()
            if is_idle and not any(actor.is_busy for actor in actors):
                return
            self.runner.until(
                lambda: self.has_error or not any(actor.is_busy for actor in actors),
                give_up_at - time.monotonic(),
            )
            self.raise_error()
            if time.monotonic() >= give_up_at:
                raise not_settled(actors, limit_s)

    def run_until_idle(self) -> None:
        """Run until nothing is left to run now; what waits for a timer or a peer is left
        waiting.
        """
        self.runner.idle(self.timeout_s)


def not_settled(actors: Iterable[Participant], limit_s: float) -> NotSettled:
    """Say what was still to be done."""
    work = [actor.describe_work() for actor in actors if actor.is_busy]
    return NotSettled(f"after {limit_s:g} s {'; '.join(work) or 'the hub was still busy'}")
