"""Looks at connections that have just been accepted, before anybody waits for them.

How it works. Under load a client's request is there by the time that its connection is accepted. So
all that were accepted in one turn are read once, in one batch like what the front's poller finds;
only those from whom nothing has come yet are watched.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from ..hub import mishaps

if TYPE_CHECKING:
    from ..hub.dispatcher import Dispatcher
    from .plain_connection import PlainConnection

log = logging.getLogger("tina4_wsgi.server")


class Newcomers:
    """The accepted connections of one front that nobody has looked at; see `Batch`.

    Greenlets: the hub, and the workers of its dispatcher.

    Args:
        loop: the hub's event loop.
        dispatcher: runs the batches.
    """

    def __init__(self, loop: Any, dispatcher: Dispatcher) -> None:  # Any: gevent ships no types
        self._loop = loop
        self._dispatcher = dispatcher
        self._waiting: deque[PlainConnection] = deque()
        self._is_due = False

    def add(self, connection: PlainConnection) -> None:
        """Look at a connection behind all others that are accepted in this turn; in the hub."""
        self._waiting.append(connection)
        if not self._is_due:
            self._is_due = True
            self._loop.run_callback(self._look)

    def _look(self) -> None:
        self._is_due = False
        try:
            self._dispatcher.run_batch(self)
        except BaseException as exc:  # noqa: BLE001
            # The loop would print it; the connections that are left wait for the next.
            mishaps.report(log, "looking at new connections failed", error=exc)

    # -- called by the dispatcher

    @property
    def has_more(self) -> bool:
        """Whether connections are left."""
        return bool(self._waiting)

    def step(self) -> bool:
        """Look at the next connection; return False if there was none."""
        if not self._waiting:
            return False
        self._waiting.popleft().begin()
        return True

    def work(self) -> None:
        """Look at connections in a worker, until none is left or an application has waited."""
        number = self._dispatcher.begin_batch()
        while self.step():
            if not self._dispatcher.may_go_on(number):
                return

    def leave(self) -> None:
        """An application waits inside of the last `step`; there is nothing to tell it."""
