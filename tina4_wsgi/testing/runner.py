"""Runs the app while a test waits.

The test's greenlet and the app share one hub, so the app runs only while the test waits, and what a
test sees between two waits doesn't change under its hands. The hub is idle when nothing is left to
run: no greenlet is ready, nothing was posted, no byte waits in a socket. Only a timer, another
process or a native thread can bring something new then.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar, cast

import gevent
from gevent._hub_local import get_hub_if_exists
from gevent.event import AsyncResult, Event
from gevent.monkey import get_original
from greenlet import GreenletExit

from ..errors import UsageError
from ..hub.native import get_ident

if TYPE_CHECKING:
    from collections.abc import Callable

_QUIET_TURNS = 2
"""Turns of the hub without an event. libev needs one; libuv reports idle before it has polled."""

_LOOK_EVERY_S = 0.01
"""How often to look for changes that nothing announces, such as a flag that a test waits for."""

_LEAST_WAIT_S = 0.001
"""libuv has no shorter timers, and gevent warns of them."""


_Result = TypeVar("_Result")


class _Thread(get_original("_thread", "_local")):  # type: ignore[misc]  # its class has no type
    """Which runners use the hub of one native thread, patched or not."""

    def __init__(self) -> None:
        self.runners: set[Runner] = set()
        self.has_made_hub = False


_here = _Thread()


class Runner:
    """Runs the hub of the thread in which it was made.

    gevent makes a hub for every thread that asks for one, and a native thread that ends leaves the
    descriptors of its hub open. So the last runner of a thread destroys the hub, if the first one
    made it. The main thread's hub stays: whatever runs the tests may have greenlets there.

    Greenlets: any of that thread, but the hub.
    """

    def __init__(self) -> None:
        if not _here.runners:
            _here.has_made_hub = get_hub_if_exists() is None
        _here.runners.add(self)

        self._thread_ident = get_ident()
        self._happened = Event()
        self._count = 0
        self._calls: deque[Callable[[], None]] = deque()

    def leave(self) -> None:
        """Give up the thread's hub; harmless when repeated."""
        if self not in _here.runners:
            return
        _here.runners.remove(self)

        is_main = threading.current_thread() is threading.main_thread()
        if _here.has_made_hub and not _here.runners and not is_main:
            gevent.get_hub().destroy(destroy_loop=True)

    def notify(self) -> None:
        """Wake a waiting test, since something happened; also from the hub."""
        self._count += 1
        self._happened.set()

    def call(self, function: Callable[..., _Result], *args: Any) -> _Result:
        """Run `function(*args)` in the greenlet that waits here, and return its result.

        Under monkey-patching a thread-local belongs to a greenlet, and with it a database
        connection and its open transaction, such as that of Django's `TestCase`. A callback that
        must see these runs where the test runs, while its own greenlet waits.

        Raises:
            Exception: raised by the function.
        """
        outcome: AsyncResult[tuple[_Result | None, BaseException | None]] = AsyncResult()

        def run() -> None:
            try:
                # A context of its own, as the app gives to each callback.
                outcome.set((contextvars.Context().run(function, *args), None))
            except Exception as exc:  # noqa: BLE001  # raised where `call` was called
                outcome.set((None, exc))
            except BaseException:  # the test itself is to end: ^C, a deadline
                outcome.set((None, GreenletExit()))
                raise

        self._calls.append(run)
        self.notify()
        result, error = outcome.get()
        if error is not None:
            raise error
        return cast("_Result", result)

    def idle(self, timeout_s: float) -> bool:
        """Run until the hub has nothing left to run; return False if the time was up before."""
        self._check_thread()
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

            self._run_calls()
            quiet = quiet + 1 if self._count == before else 0

        return True

    def until(self, is_done: Callable[[], object], timeout_s: float) -> bool:
        """Run until `is_done()` returns a true value; return False if the time was up before."""
        self._check_thread()
        give_up_at = time.monotonic() + timeout_s
        while not is_done():
            left_s = give_up_at - time.monotonic()
            if left_s <= 0:
                return False

            self._happened.clear()
            self._happened.wait(max(_LEAST_WAIT_S, min(left_s, _LOOK_EVERY_S)))
            self._run_calls()

        return True

    def _run_calls(self) -> None:
        while self._calls:
            self._calls.popleft()()

    def _check_thread(self) -> None:
        if get_ident() != self._thread_ident:
            raise UsageError(
                "this test client belongs to another thread, expected one client for each thread"
            )
