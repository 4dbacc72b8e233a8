"""Which clients use the hub of a thread, so that the last one can give it back.

gevent makes a hub for every thread that asks for one, and a native thread that ends leaves its
descriptors open. The main thread's hub stays: the test runner itself may have greenlets there.
"""

from __future__ import annotations

import threading
from typing import Any

import gevent
from gevent._hub_local import get_hub_if_exists
from gevent.monkey import get_original


class _Tenancy(get_original("_thread", "_local")):  # type: ignore[misc]  # whatever class that is
    """What one native thread knows of itself."""

    def __init__(self) -> None:
        self.clients: dict[int, Any] = {}
        self.has_made_hub = False


_here = _Tenancy()  # of the native thread: patched or not, that is what has a hub


def enter(client: Any) -> None:
    """A client will use this thread's hub."""
    if not _here.clients:
        _here.has_made_hub = get_hub_if_exists() is None
    _here.clients[id(client)] = client


def leave(client: Any) -> None:
    """A client has done with it; harmless when repeated."""
    if _here.clients.pop(id(client), None) is None or _here.clients or not _here.has_made_hub:
        return
    if threading.current_thread() is not threading.main_thread():
        gevent.get_hub().destroy(destroy_loop=True)
