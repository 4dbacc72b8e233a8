"""Watches descriptors where the kernel has no epoll: one watcher of gevent's for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gevent.monkey import get_original

from .poller import Poller, Reader

if TYPE_CHECKING:
    from .dispatcher import Dispatcher

_READABLE = 1  # libev's EV_READ


class LoopPoller(Poller):
    """A `Poller` without a set of its own, and without batches."""

    def __init__(self, loop: Any, dispatcher: Dispatcher | None = None) -> None:
        super().__init__(loop, dispatcher)
        self._watchers: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self._watchers)

    def add(self, descriptor: int, reader: Reader) -> None:
        """Call `reader.on_readable` whenever `descriptor` is readable."""
        watcher = self._watchers[descriptor] = self.loop.io(descriptor, _READABLE)
        watcher.start(reader.on_readable)

    def remove(self, descriptor: int) -> None:
        """Watch `descriptor` no more; harmless if it isn't watched."""
        watcher = self._watchers.pop(descriptor, None)
        if watcher is not None:
            watcher.stop()
            watcher.close()

    def close(self) -> None:
        """Watch nothing any more."""
        for descriptor in list(self._watchers):
            self.remove(descriptor)


def poller_for(loop: Any, dispatcher: Dispatcher) -> Poller:
    """Return the best poller that this system has."""
    try:
        get_original("select", "epoll")
    except AttributeError:
        return LoopPoller(loop, dispatcher)
    return Poller(loop, dispatcher)
