"""Native threads in which callbacks run, so that they may block as they like.

A worker greenlet of the `Dispatcher` hands its callback over and waits, so the order of events, one
at a time for each connection, and the fairness between connections are the dispatcher's, as where
callbacks run in greenlets.

Invariants: the hub never waits for a thread; whoever stopped waiting isn't woken any more; below
the limit there is one thread more than is busy, since from Python 3.12 on an interpreter that is
about to end starts none, and "close" of some may have to run beside a callback that waits for it.
"""

from __future__ import annotations

import contextvars
import threading
from _queue import SimpleQueue  # the C type: gevent's patches replace that of `queue`
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent, greenlet

if TYPE_CHECKING:
    from collections.abc import Callable

    from .mailbox import Mailbox


class CallbackThreads:
    """A pool of native threads, grown on demand.

    Args:
        hub: the gevent hub whose greenlets hand calls over.
        mailbox: this hub's; takes the results back.
        most: how many threads there may be.
        name: theirs, which a number follows.
    """

    def __init__(
        self, hub: Any, mailbox: Mailbox, most: int, name: str = "tina4-callback"
    ) -> None:  # Any: gevent has no types
        self._name = name
        self._hub = hub
        self._mailbox = mailbox
        self._most = most
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._count = 0
        self._busy = 0

    @property
    def count(self) -> int:
        """How many threads there are."""
        return self._count

    def run(self, function: Callable[..., Any], *args: Any) -> Any:  # Any: whatever it gives
        """Run `function(*args)` in a native thread and in a context of its own; return its result.

        Greenlets: one of the hub's that may wait.
        Raises:
            BaseException: whatever the function raised, or was thrown into this greenlet meanwhile;
                then the function goes on, and nobody gets its result.
        """
        call = _Call(getcurrent(), function, args)
        self._busy += 1
        while self._busy >= self._count < self._most and self._start_one():
            pass
        self._calls.put(call)

        try:
            greenlet.switch(self._hub)
        finally:
            call.waiting = None
        if call.error is not None:
            raise call.error
        return call.result

    def close(self) -> None:
        """End all threads that have nothing to do, and the others as soon as they are done."""
        for _ in range(self._count):
            self._calls.put(None)
        self._count = 0

    def _start_one(self) -> bool:
        """Start one more; return False if the system gives none, and there are some already."""
        thread = threading.Thread(
            target=self._serve, name=f"{self._name}-{self._count + 1}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            # The interpreter is about to end, or the system has no more.
            if not self._count:
                self._busy -= 1
                raise
            return False
        self._count += 1
        return True

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            call.work()
            self._mailbox.post(self._hand_back, call)
            del call  # a thread that waits must not keep its last call alive

    def _hand_back(self, call: _Call) -> None:
        """Wake who waits for a call; in the hub."""
        self._busy -= 1
        waiting, call.waiting = call.waiting, None
        if waiting is not None:
            waiting.switch()


class _Call:
    """One call that a greenlet waits for.

    Attributes:
        waiting: the greenlet; None once it waits no longer.
    """

    __slots__ = ("_args", "_function", "error", "result", "waiting")

    def __init__(
        self, waiting: greenlet, function: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        self.waiting: greenlet | None = waiting
        self._function = function
        self._args = args
        self.result: Any = None
        self.error: BaseException | None = None

    def work(self) -> None:
        """Make the call; in a native thread."""
        try:
            self.result = contextvars.Context().run(self._function, *self._args)
        except BaseException as exc:  # noqa: BLE001  # raised again where somebody waits
            self.error = exc
