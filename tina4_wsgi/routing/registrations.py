"""Tells the apps of a process that a route, or a pattern of rooms, was registered.

An app remembers what it found out about paths, and may be running when a route is added: so each
registration, on whichever router or framework, has all apps look anew.
"""

from __future__ import annotations

import threading
import weakref
from typing import Protocol


class RouteWatcher(Protocol):
    """What wants to know of registrations."""

    def take_up_routes(self) -> None:
        """Have a route count that was just registered, on any router."""


class Registrations:
    """Those who want to know of each registration in this process.

    Lock: `_lock` guards `_listeners`; no listener is called while it is held.
    Greenlets and threads: any; listeners are called in the one that registers.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._listeners: weakref.WeakSet[RouteWatcher] = weakref.WeakSet()

    def listen(self, listener: RouteWatcher) -> None:
        """Tell a listener from now on, for as long as it lives."""
        with self._lock:
            self._listeners.add(listener)

    def tell(self) -> None:
        """Tell all listeners that something was registered; it can be found by now."""
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener.take_up_routes()


registrations = Registrations()
"""The registrations of this process."""
