"""Noticing that the host server stops, so that open connections hear 1001 instead of silence.

The sockets have left the server, so a gunicorn worker that has to stop sees nothing to wait
for. Therefore the first upgrade puts a greenlet into the server's pool as a guardian:
it sleeps until the server stops listening, then has the app close its connections, and the worker
waits for it as for any running request. It is a greenlet of its own: the request's greenlet would
keep what middlewares hold for the length of a request, such as a transaction of a tracker or of a
database. `atexit` covers the ends that leave no time for that: SIGINT and SIGQUIT to gunicorn, a
server without a pool. Servers of native threads have no such pool; see `termination`.
"""

from __future__ import annotations

import atexit
import logging
import os
from typing import TYPE_CHECKING, Any, Protocol

import gevent

from ..hub.hub_thread import HubThread
from . import gunicorn, late_requests, uwsgi
from .termination import Termination

if TYPE_CHECKING:
    from socketserver import ThreadingMixIn

    from ..addresses.forwarded import Environ

logger = logging.getLogger("tina4_wsgi.guardian")


class Drain(Protocol):
    """Closes all connections with 1001 and waits for their ends."""

    def __call__(self, timeout_s: float, *, is_hurried: bool = False) -> None: ...


class StopGuard:
    """Calls `drain` when this process's server stops, or at the latest when the interpreter ends.

    Args:
        drain: the process's.
        drain_timeout_s: what it gets when the server stops, or less where gunicorn's
            graceful_timeout is shorter.
    """

    # Enough for close frames and quick callbacks; a supervisor may be about to kill.
    _AT_EXIT_S = 2.0

    def __init__(self, drain: Drain, drain_timeout_s: float) -> None:
        self._drain = drain
        self._drain_timeout_s = drain_timeout_s
        self._pid = os.getpid()
        self._is_on_duty = False
        self._has_drained = False
        self._is_native = False
        self._server: ThreadingMixIn | None = None
        HubThread.is_deaf = uwsgi.is_here()
        atexit.register(self._at_exit)

    def stand_guard(self, server: object = None) -> None:
        """Start to wait for the server's stop, in a greenlet of its own; return at once.

        Greenlets: the server's, which serves an upgrade; from any other this does nothing, and the
            next one's is tried.

        Args:
            server: our own server, which says so in the environ; None for any other.
        """
        if self._is_on_duty:
            return
        if uwsgi.at_exit(self._at_exit):
            self._is_on_duty = True
            return
        if server is None:
            server = _server_of_this_greenlet()
        # A test client calls itself a server, and ends connections itself.
        if not hasattr(server, "_stop_event"):
            return
        self._is_on_duty = True
        # From a greenlet outside the pool, since `spawn` waits while the pool is full.
        pool = getattr(server, "pool", None)
        gevent.spawn(getattr(pool, "spawn", gevent.spawn), self._wait, server)

    def guard_threads(self) -> None:
        """Drain at SIGTERM or when the interpreter ends: no greenlet sees this server's stop.

        Threads: the one in which the server runs the first upgrade.
        """
        self._is_native = True
        self._server = late_requests.server_of_this_thread()
        HubThread.here().mailbox.post(Termination.put_off, self._at_termination)

    def _at_termination(self) -> None:
        self._has_drained = True
        self._drain(self._drain_timeout_s)

    def _wait(self, server: Any) -> None:  # Any: gevent ships no types
        server._stop_event.wait()
        try:
            self._drain(gunicorn.time_to_stop_s(self._drain_timeout_s))
        finally:
            # Even where it was cut short, `_at_exit` doesn't drain again.
            self._has_drained = True

    def _at_exit(self) -> None:
        if self._pid != os.getpid() or self._has_drained:
            return  # registered in a parent, before a fork; or all have had their time
        self._has_drained = True  # uWSGI may come here twice
        if self._server is not None:
            late_requests.refuse_requests(self._server)
        limit_s = self._time_at_exit_s()
        try:
            self._drain(limit_s or self._AT_EXIT_S, is_hurried=limit_s is None)
        except Exception:
            logger.exception("draining at exit failed")

    def _time_at_exit_s(self) -> float | None:
        """Return how long the server waits for a process that ends; None if that isn't known."""
        if uwsgi.is_here():
            return uwsgi.time_to_stop_s(self._drain_timeout_s)
        if self._is_native and gunicorn.is_worker():
            return gunicorn.time_to_stop_s(self._drain_timeout_s)
        return None

    def dismiss(self) -> None:
        """Do nothing when the interpreter ends."""
        atexit.unregister(self._at_exit)
        Termination.remove(self._at_termination)


def _server_of_this_greenlet() -> Any:  # Any: gevent ships no types
    """Find the gevent StreamServer that spawned the current greenlet.

    It must have room for a greenlet that stays. gevent's servers spawn their handlers as
    `handle(client, address)` with a bound method of the server among the arguments; None where
    that is not so.
    """
    for argument in getattr(gevent.getcurrent(), "args", ()):
        server = getattr(argument, "__self__", None)
        if hasattr(server, "_stop_event"):
            size = getattr(getattr(server, "pool", None), "size", None)
            # In a pool of one the guardian would leave no place for requests. pywsgi's own default
            # has no pool.
            return server if size is None or size > 1 else None
    return None


def is_drained(environ: Environ, app: object) -> bool:
    """Return whether our own server hosts `app`, and so drains it.

    Our server may also host what stands around `app`, and drain `app` through that.
    """
    server = environ.get("tina4_wsgi.server")
    if server is None:
        return False
    hosted = server.application
    return hosted is app or app in getattr(hosted, "drains", ())
