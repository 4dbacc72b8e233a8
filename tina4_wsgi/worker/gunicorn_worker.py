"""The worker as gunicorn's master starts it, signals it and watches it.

The master imports this module before the worker patches the standard library, so everything that
serves is imported when the worker runs.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event

try:
    from gunicorn.errors import HaltServer
    from gunicorn.workers.ggevent import GeventWorker
except (ImportError, RuntimeError) as exc:
    raise ImportError(
        f"tina4_wsgi.worker needs gunicorn and what its gevent worker imports ({exc}): "
        "pip install 'gunicorn[gevent]'"
    ) from exc

from . import gunicorn_settings

if TYPE_CHECKING:
    from .fleet import Fleet

_NOTIFY_S = 1.0
"""As gunicorn's own gevent worker: often enough for any `timeout`."""

_OVERLAP_S = 0.5
"""How long a worker still accepts connections when it is told to stop. At a SIGHUP gunicorn tells
the old workers so while the new ones have still to load the application; its own gevent worker
notices after half a second on average.
"""

_OVERLAP_SHARE = 0.125
"""Of `graceful_timeout`, at most."""

_READ_BYTES = 4_096


class FrontWorker(GeventWorker):  # type: ignore[misc]  # gunicorn ships no types
    """Serves every listener of gunicorn's with a `Server` of our own, until it is told to stop.

    What a worker is besides that, it has from gunicorn's gevent worker: patching, signals, the
    reloader, hooks of its life.

    Attributes:
        alive, nr, max_requests: gunicorn's: whether it is to go on, and its count of requests.

    Raises:
        HaltServer: gunicorn is told to do what only its own workers can.
    """

    alive: bool
    nr: int
    max_requests: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # Any: gunicorn's own business
        super().__init__(*args, **kwargs)
        impossible = gunicorn_settings.impossible(self.cfg)
        if impossible:
            raise HaltServer(impossible, 1)
        if self.age == 1:
            for warning in gunicorn_settings.ignored(self.cfg):
                self.log.warning(warning)
        self._woken = Event()
        self._is_told_to_stop = False

    def run(self) -> None:
        """Serve until `alive` is false, and stop gracefully."""
        from .fleet import Fleet

        # Python only notes a signal that comes while the hub waits; gunicorn has it write to this
        # pipe.
        signalled = gevent.get_hub().loop.io(self.PIPE[0], 1, ref=False)
        signalled.start(self._note_signal)
        fleet = Fleet(self)
        fleet.start()
        while self.alive:
            self.notify()
            self._woken.wait(_NOTIFY_S)
            self._woken.clear()
        if self._is_told_to_stop:
            gevent.sleep(min(_OVERLAP_S, self.cfg.graceful_timeout * _OVERLAP_SHARE))
        self._stop(fleet)

    def handle_exit(self, *args: object) -> None:
        """Stop gracefully: the handler of SIGTERM."""
        self._is_told_to_stop = True
        super().handle_exit(*args)

    def count_request(self) -> None:
        """Count a request; with the last one of `max_requests` the worker begins to stop."""
        self.nr += 1
        if self.alive and self.nr >= self.max_requests:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False
            self._woken.set()

    def _stop(self, fleet: Fleet) -> None:
        stopping = gevent.spawn(fleet.stop)
        while not stopping.ready():
            self.notify()
            stopping.join(_NOTIFY_S)
        if not stopping.value:
            self.log.warning("Worker graceful timeout (pid:%s)", self.pid)

    def _note_signal(self) -> None:
        os.read(self.PIPE[0], _READ_BYTES)
        self._woken.set()
