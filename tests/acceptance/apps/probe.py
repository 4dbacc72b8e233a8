"""Reports what the server process holds, for tests that compare before and after."""

from __future__ import annotations

import gc
import os

from greenlet import greenlet

from tina4_wsgi import Connection
from tina4_wsgi.routing.names import GroupKind


def install(router, get_app):
    """Answer GET /state with the figures of the app that `get_app` gives."""

    @router.get("/state")
    def state(request, response):
        return figures(get_app())


def figures(app):
    """Count what is alive, after a collection."""
    gc.collect()
    engines = list(app._runtime._engines.values()) if app._runtime else []
    alive = gc.get_objects()
    workers = sum(engine.dispatcher.worker_count for engine in engines)
    return {
        "pid": os.getpid(),
        "connections": sum(len(engine.connections) for engine in engines),
        "settling": sum(engine.settling_count for engine in engines),
        "paths": sum(len(engine.names(GroupKind.PATH)) for engine in engines),
        "rooms": sum(len(engine.names(GroupKind.ROOM)) for engine in engines),
        "objects": sum(isinstance(one, Connection) for one in alive),
        "workers": workers,
        "greenlets": sum(isinstance(one, greenlet) and _counts(one) for one in alive) - workers,
        "descriptors": len(os.listdir("/proc/self/fd")) - 1,  # without that of the listing
        "resident_bytes": _resident_bytes(),
    }


def _counts(one):
    """Leave out what has ended, and native threads of gevent's pool: those end when they like."""
    return bool(one) and one.parent is not None and type(one).__module__ != "gevent.threadpool"


def _resident_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
