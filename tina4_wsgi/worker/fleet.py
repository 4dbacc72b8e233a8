"""The servers of one worker, one for each of gunicorn's listeners: started and stopped as one."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import gevent
from gunicorn.http.wsgi import base_environ
from gunicorn.workers.ggevent import VERSION

from ..server.loading import config_of
from . import gunicorn_settings
from .fleet_server import FleetServer

if TYPE_CHECKING:
    from collections.abc import Callable

_LEAST_SHARE = 0.25
_MARGIN_S = 3.0
"""For the time before the stop, the first requests of new connections, and the ends of what is cut.
"""

_IDLE_PATIENCE_S = 2.0
"""As long as gunicorn's own `keepalive` leaves a client between two requests."""


class Fleet:
    """Serves all listeners of a worker; also the `Ledger` of its requests, but for one listener.

    Args:
        worker: gunicorn's; its listeners belong to the fleet's servers from now on.

    Attributes:
        worker, request_log, pre_request, post_request: see `Ledger`.
        is_trusted: whether `forwarded_allow_ips` has an IP address.
        scheme_variables: `secure_scheme_headers`, by their names in WSGI.
        most_connections: `worker_connections`, of each listener.
    """

    def __init__(self, worker: Any) -> None:  # Any: gunicorn ships no types
        cfg, log = worker.cfg, worker.log
        self.worker = worker
        self.request_log = log if gunicorn_settings.logs_requests(cfg, log) else None
        is_debugging = logging.getLogger("gunicorn.error").isEnabledFor(logging.DEBUG)
        self.pre_request: Callable[..., object] | None = gunicorn_settings.hook_of(
            cfg, "pre_request", is_debugging
        )
        self.post_request: Callable[..., object] | None = gunicorn_settings.hook_of(
            cfg, "post_request", False
        )
        self.is_trusted = gunicorn_settings.trust_of(cfg)
        self.scheme_variables = gunicorn_settings.scheme_variables(cfg)
        self.most_connections: int = worker.worker_connections

        self._stop_s = gunicorn_settings.stop_s(cfg, _LEAST_SHARE, _MARGIN_S)
        self._draining: gevent.Greenlet | None = None
        self.servers = self._make_servers()

    def _make_servers(self) -> list[FleetServer]:
        worker, cfg = self.worker, self.worker.cfg
        config = gunicorn_settings.keepalive_config(cfg, config_of(worker.wsgi))
        context = gunicorn_settings.tls_context(cfg)
        environ = {**base_environ(cfg), "wsgi.multithread": True, "SERVER_SOFTWARE": VERSION}
        servers = [
            FleetServer(self, worker.wsgi, listener, config, context, environ)
            for listener in worker.sockets
        ]
        for server in servers:
            server.limits = gunicorn_settings.head_limits(cfg, server.limits)
            server.idle_patience_s = min(_IDLE_PATIENCE_S, self._stop_s / 2)
        # Ours have taken the descriptors; others ask the worker where it listens.
        worker.sockets = [server.socket for server in servers]
        return servers

    def start(self) -> None:
        """Accept connections on all listeners."""
        for server in self.servers:
            server.start()

    def stop(self) -> bool:
        """Stop all servers within `graceful_timeout`; return whether everything ended by itself.

        Greenlets: blocks the caller.
        """
        give_up_at = time.monotonic() + self._stop_s
        gevent.joinall([gevent.spawn(server.leave_shared_socket) for server in self.servers])
        left_s = max(0.0, give_up_at - time.monotonic())
        gevent.joinall([gevent.spawn(server.stop, left_s) for server in self.servers])
        return time.monotonic() < give_up_at

    def begin_drain(self, timeout_s: float) -> gevent.Greenlet | None:
        """Have the application close its WebSockets, once for all servers."""
        drain = getattr(self.worker.wsgi, "drain", None)
        if self._draining is None and drain is not None:
            limit_s = min(timeout_s, config_of(self.worker.wsgi).drain_timeout_s)
            self._draining = gevent.spawn(drain, limit_s)
        return self._draining
