"""Watches the descriptors of one engine, all by one watcher of gevent's.

How it works. The descriptors are in an epoll set of our own. The set has a descriptor too, which is
readable as long as one of its members is; so gevent's loop watches this one, and a connection costs
it nothing. When the loop says that the set is readable, the poller asks for the next events and
hands each to its reader. This module is pure Python. `poller.pyx` beside it is the same module for
a C compiler; where the engine is compiled, Python imports the compiled one.

All readers of a batch share one greenlet as long as none of them waits; see `Dispatcher.run_batch`.

Invariants: both modules have the same names and pass the same tests. Level triggered, so what a
reader leaves unread is reported again, and no event is lost. At most `MOST_EVENTS` a turn, so that
timers and HTTP get theirs; the kernel reports those first that have waited longest. A descriptor is
removed before it is closed: a copy in a forked child would keep it in the set. A child never
touches the set, which it shares with its parent.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from gevent.monkey import get_original

from . import mishaps
from .syscalls import Inbox

if TYPE_CHECKING:
    from .dispatcher import Dispatcher

__all__ = ["MOST_EVENTS", "Poller", "Reader"]

logger = logging.getLogger("tina4_wsgi.engine")

MOST_EVENTS = 256
"""How many events are handled in one turn of the hub."""

_READABLE = 1  # libev's EV_READ and epoll's EPOLLIN


class Reader:
    """The owner of a descriptor that a poller watches."""

    __slots__ = ()

    def on_readable(self) -> None:
        """Read once; called in the hub, or in a worker that runs a batch; doesn't raise."""
        raise NotImplementedError

    def leave_turn(self) -> None:
        """A callback waits inside of `on_readable`, and others go on; called in the hub."""


class Poller:
    """Calls readers whose descriptors are readable.

    Greenlets: the hub's thread.

    Args:
        loop: the hub's event loop.
        dispatcher: runs the batches; None to run each reader in the hub.

    Attributes:
        loop: as given.
        inbox: for the readers' bytes.
    """

    def __init__(self, loop: Any, dispatcher: Dispatcher | None = None) -> None:
        self.loop = loop
        self.inbox = Inbox()
        self._dispatcher = dispatcher
        self._readers: dict[int, Reader] = {}
        self._watcher: Any = None
        self._epoll: Any = None
        self._events: list[tuple[int, int]] = []
        self._current: Reader | None = None

    def __len__(self) -> int:
        return len(self._readers)

    def add(self, descriptor: int, reader: Reader) -> None:
        """Call `reader.on_readable` whenever `descriptor` is readable.

        Raises:
            OSError: the kernel won't watch it.
        """
        if self._epoll is None:
            # Monkey-patching takes it away, since its own `poll` would hold the loop.
            self._epoll = get_original("select", "epoll")()
            self._watcher = self.loop.io(self._epoll.fileno(), _READABLE)
        self._epoll.register(descriptor, _READABLE)

        if not self._readers:
            # Only as long as there are readers: the watcher keeps the loop alive.
            self._watcher.start(self._on_ready)
        self._readers[descriptor] = reader

    def remove(self, descriptor: int) -> None:
        """Watch `descriptor` no more; harmless if it isn't watched."""
        if self._readers.pop(descriptor, None) is None:
            return
        self._epoll.unregister(descriptor)
        if not self._readers:
            self._watcher.stop()

    def close(self) -> None:
        """Watch nothing any more."""
        self._readers.clear()
        self._events.clear()
        epoll, self._epoll = self._epoll, None
        if epoll is not None:
            self._watcher.stop()
            self._watcher.close()
            epoll.close()

    def _on_ready(self) -> None:
        try:
            self._events = self._epoll.poll(0, MOST_EVENTS)
            self._events.reverse()  # popped from the end
            if self._dispatcher is not None:
                self._dispatcher.run_batch(self)
            else:
                while self.step():
                    pass
        except BaseException as exc:  # noqa: BLE001
            # An exception that leaves would end the watcher.
            mishaps.report(logger, "waiting for clients failed", error=exc)

    # -- called by the dispatcher

    @property
    def has_more(self) -> bool:
        """Whether events of this turn are left."""
        return bool(self._events)

    def step(self) -> bool:
        """Hand the next event to its reader; return False if there was none."""
        if not self._events:
            return False
        # An earlier reader of this turn may have removed this one, or closed its descriptor, which
        # then may be a newcomer's: it finds nothing to read.
        reader = self._readers.get(self._events.pop()[0])
        if reader is not None:
            self._current = reader
            reader.on_readable()
            self._current = None
        return True

    def work(self) -> None:
        """Handle events in a worker, until none is left or a callback has waited."""
        dispatcher = self._dispatcher
        assert dispatcher is not None
        number = dispatcher.begin_batch()
        while self.step():
            if not dispatcher.may_go_on(number):
                return

    def leave(self) -> None:
        """A callback waits inside of the last `step`; called in the hub."""
        reader, self._current = self._current, None
        if reader is not None:
            reader.leave_turn()
