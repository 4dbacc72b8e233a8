"""Lets the app run while a test waits.

The test's greenlet and the app share one hub, so the app runs only while the test waits, and what a
test sees between two waits doesn't change under its hands. "Idle" is when the hub has nothing left
to run: no greenlet is ready, nothing was posted, no byte waits in a socket. Only a timer, another
process or a native thread can bring something new then.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent
from gevent.event import Event
from gevent.monkey import get_original

from ..errors import UsageError
from .inline_calls import Errands

_QUIET_TURNS = 2
"""Of the hub, in which nothing happened. One is enough for libev; libuv calls it idle before it has
polled.
"""

_LOOK_EVERY_S = 0.01
"""Some things change without a word to us, such as a flag that a test waits for."""

_LEAST_WAIT_S = 0.001
"""libuv has no shorter timers, and gevent warns of them."""

_get_ident = get_original("_thread", "get_ident")


class Runner:
    """Runs the hub of the thread in which it was made.

    Greenlets: any of that thread, but the hub.

    Attributes:
        errands: what is to be done by whoever waits here.
    """

    def __init__(self) -> None:
        self._thread_ident = _get_ident()
        self._happened = Event()
        self._count = 0
        self.errands = Errands(self.notify)

    def notify(self) -> None:
        """Something happened that a waiting test may care for; also from the hub."""
        self._count += 1
        self._happened.set()

    def check_thread(self) -> None:
        """See that this is the client's own thread.

        Raises:
            UsageError: it is another one; a hub can't be run from there.
        """
        if _get_ident() != self._thread_ident:
            raise UsageError(
                "this test client belongs to another thread, expected one client for each thread"
            )

    def idle(self, timeout_s: float) -> bool:
        """Run until the hub has nothing left to run; False if it still had when the time was up."""
        self.check_thread()
        give_up_at = time.monotonic() + timeout_s
        quiet = 0
        while quiet < _QUIET_TURNS:
            before = self._count
            with gevent.Timeout(max(_LEAST_WAIT_S, give_up_at - time.monotonic())) as too_long:
                try:
                    gevent.idle()
                except gevent.Timeout as raised:
                    if raised is not too_long:
                        raise
                    return False
            self.errands.run()
            quiet = quiet + 1 if self._count == before else 0
        return True

    def until(self, is_done: Callable[[], object], timeout_s: float) -> bool:
        """Run until `is_done()` gives something true; False if it didn't in time."""
        self.check_thread()
        give_up_at = time.monotonic() + timeout_s
        while not is_done():
            left_s = give_up_at - time.monotonic()
            if left_s <= 0:
                return False
            self._happened.clear()
            self._happened.wait(max(_LEAST_WAIT_S, min(left_s, _LOOK_EVERY_S)))
            self.errands.run()
        return True
