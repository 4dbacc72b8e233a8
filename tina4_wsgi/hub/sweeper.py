"""All deadlines of a process, watched by one timer instead of one per connection."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

SWEEP_INTERVAL_S = 0.25
"""How late a deadline may be noticed. A sweep over 10 000 connections takes half a millisecond."""


class Watched(Protocol):
    """Something with a deadline."""

    @property
    def due_s(self) -> float:
        """When `on_due` wants to be called, on the monotonic clock."""

    def on_due(self, now_s: float) -> None:
        """The deadline has passed: act, and set the next one. Called in the hub."""

    def failed(self, error: BaseException) -> None:
        """Learn that `on_due` raised, which is a mistake of ours; doesn't raise."""


class Sweeper:
    """Calls `on_due` of whatever is due; sleeps while there is nothing to watch.

    Args:
        loop: the hub's event loop.
        watched: the live collection; it may change while a deadline is handled.
        housekeeping: called at each sweep, in the hub; says whether it has more to do.
    """

    def __init__(
        self, loop: Any, watched: Collection[Watched], housekeeping: Callable[[], bool]
    ) -> None:
        # ref=False: open sockets may keep a process alive, the clock alone may not.
        self._timer = loop.timer(SWEEP_INTERVAL_S, SWEEP_INTERVAL_S, ref=False)
        self._watched = watched
        self._housekeeping = housekeeping
        self._is_running = False

    def wake(self) -> None:
        """Begin to sweep, if it isn't being done; cheap."""
        if not self._is_running:
            self._is_running = True
            # update: the loop's clock may be old when the first connection comes after a long
            # sleep.
            self._timer.start(self._sweep, update=True)

    def close(self) -> None:
        """Give the timer back."""
        self._timer.stop()
        self._timer.close()

    def _sweep(self) -> None:
        now_s = time.monotonic()
        # Collected first: handling a deadline may remove its connection.
        overdue = [item for item in self._watched if item.due_s <= now_s]
        for item in overdue:
            try:
                item.on_due(now_s)
            except BaseException as exc:  # noqa: BLE001
                # Or whatever stands behind it would never be looked at.
                item.failed(exc)
        if not self._housekeeping() and not self._watched:
            self._timer.stop()
            self._is_running = False
