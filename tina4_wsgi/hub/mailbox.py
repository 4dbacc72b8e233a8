"""Calls from other threads, which the hub runs in order.

Only one thread may touch a gevent object. A native thread (a `threading.Thread` of an unpatched
process, a worker of `gevent.get_hub().threadpool`) leaves its call here and wakes the hub.

None of these calls asks the `Dispatcher` for a worker: callbacks that wait for that native thread
may hold all workers, and the thread would wait for ever.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any

import gevent

from . import mishaps
from .native import allocate_lock

if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable

logger = logging.getLogger("tina4_wsgi.mailbox")

_MOST_POSTED = 1_024
"""How many posts may wait for the hub. A thread that posts faster than the hub runs them has to
wait, so memory stays bounded.
"""

_MOST_POSTED_BYTES = 1 << 20
"""Frames that a thread posts to one slow client come on top of `max_outbound_bytes`, whose default
this is.
"""


class Mailbox:
    """Calls from other threads to the thread of one hub.

    Greenlets: none of the hub's own thread, which call the function directly.
    Locks: `_lock` guards `_posted`, `_posted_bytes` and `_is_woken`; it is held for a few
    instructions, never over a call.
    """

    def __init__(self, hub: Any) -> None:  # Any: gevent ships no types
        self._loop = hub.loop
        self._lock = allocate_lock()
        self._posted: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._waiting_threads: deque[LockType] = deque()
        self._posted_bytes = 0
        self._is_woken = False

    def post(self, function: Callable[..., object], *args: object, size_bytes: int = 0) -> None:
        """Run `function(*args)` in the hub soon; waits only while too many posts wait.

        Args:
            function: runs in the hub, so it must neither wait nor log. An error that it raises is
                logged and doesn't affect later calls.
            size_bytes: what the arguments hold.
        """
        gate = None

        with self._lock:
            self._posted.append((function, args))
            self._posted_bytes += size_bytes
            must_wake, self._is_woken = not self._is_woken, True
            if len(self._posted) > _MOST_POSTED or self._posted_bytes > _MOST_POSTED_BYTES:
                gate = allocate_lock()
                gate.acquire()
                self._waiting_threads.append(gate)

        if must_wake:
            self._loop.run_callback_threadsafe(self._run)

        if gate is not None:
            gate.acquire()  # wait until the hub has emptied the mailbox

    def call(self, function: Callable[..., Any], *args: Any) -> Any:  # Any: whatever it gives
        """Run `function(*args)` in the hub, wait for it, and return its result.

        Args:
            function: must neither wait nor log; an error that it raises is raised here.
        """
        errand = ThreadCall(function, args)
        self.post(errand.work)
        return errand.wait()

    def call_waiting(self, function: Callable[..., Any], *args: Any) -> Any:  # Any: as above
        """Like `call`, but in a new greenlet, so `function` may wait."""
        return self.begin(function, *args).wait()

    def begin(self, function: Callable[..., Any], *args: Any) -> ThreadCall:
        """Like `call_waiting`, but return at once; the caller waits with `ThreadCall.wait`."""
        errand = ThreadCall(function, args)
        # There are at most as many of these greenlets as there are waiting threads.
        self.post(gevent.spawn, errand.work)
        return errand

    def _run(self) -> None:
        with self._lock:
            posted, self._posted, self._posted_bytes = self._posted, deque(), 0
            gates, self._waiting_threads = self._waiting_threads, deque()
            self._is_woken = False

        for gate in gates:
            gate.release()

        for function, args in posted:
            try:
                function(*args)
            except BaseException as exc:  # noqa: BLE001
                # Whatever it is, the calls behind it must still run.
                mishaps.report(logger, "a call from another thread failed", error=exc)


class ThreadCall:
    """A call that another thread is waiting for."""

    __slots__ = ("_args", "_done", "_error", "_function", "_result")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._function = function
        self._args = args
        self._result: Any = None
        self._error: BaseException | None = None
        self._done = allocate_lock()
        self._done.acquire()

    @property
    def is_done(self) -> bool:
        """Whether `wait` would return at once."""
        return not self._done.locked()

    def work(self) -> None:
        """Make the call, in the hub or in a greenlet of its thread."""
        try:
            self._result = self._function(*self._args)
        except BaseException as exc:  # noqa: BLE001  # raised again in the thread that waits
            self._error = exc
        finally:
            self._done.release()

    def wait(self, timeout_s: float = -1) -> Any:
        """Wait for the call, then return its result or raise its error; blocks the whole thread.

        Args:
            timeout_s: how long to wait; negative for ever.
        Raises:
            TimeoutError: the call isn't done by then.
        """
        if not self._done.acquire(True, timeout_s):
            raise TimeoutError(f"not done within {timeout_s:g} s")
        self._done.release()
        if self._error is not None:
            raise self._error
        return self._result
