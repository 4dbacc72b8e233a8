"""Our server on a listener of gunicorn's: so many connections at most, and gunicorn's environ."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from ..addresses.hosts import is_loopback_address
from ..errors import Refused
from ..server.server import Server
from ..server.wire import ip_of
from .requests import CountedHandler, CountedPlainHandler

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    import gevent
    from _typeshed.wsgi import WSGIApplication

    from ..config import Config
    from ..server.listening import SocketAddress
    from ..server.request_head import RequestHead
    from ..server.wire import Wire
    from .fleet import Fleet

_CLOSED_AT_ONCE = 16
"""Idle connections that are closed for room, so that not every new one looks for them."""


class FleetServer(Server):
    """Serves one listener of a worker; also the `Ledger` of its requests.

    Args:
        fleet: all servers of the worker.
        listener: gunicorn's; taken over.
        environ: what gunicorn has in every environ.

    Attributes:
        scheme, is_on_unix: see `Ledger`.
    """

    handler_class = CountedHandler
    plain_handler_class = CountedPlainHandler

    def __init__(
        self,
        fleet: Fleet,
        app: WSGIApplication,
        listener: socket.socket,
        config: Config,
        context: ssl.SSLContext | None,
        environ: Mapping[str, object],
    ) -> None:
        super().__init__(
            app,
            config=config,
            listener=listener,
            is_one_of_many=bool(environ["wsgi.multiprocess"]),
            tls_context=context,
        )
        self._fleet = fleet
        self._secret_count = 0
        self._waits_for_room = False
        self.worker, self.request_log = fleet.worker, fleet.request_log
        self.pre_request, self.post_request = fleet.pre_request, fleet.post_request
        self.scheme = "http" if context is None else "https"
        self.is_on_unix = self.family == socket.AF_UNIX

        self.environ.update(environ)
        if isinstance(self.address, tuple):
            self.environ["SERVER_NAME"] = self.address[0]

    @property
    def ledger(self) -> FleetServer:
        """Itself, as its requests know it."""
        return self

    @property
    def is_on_loopback_only(self) -> bool:
        """Whether the whole worker can only be reached from this machine, by addresses."""
        return all(
            isinstance(server.address, tuple) and is_loopback_address(str(server.address[0]))
            for server in self._fleet.servers
        )

    def scheme_of(self, head: RequestHead, address: object) -> str:
        """Return the client's scheme; see `Ledger`."""
        scheme, said = self.scheme, None
        if self.is_on_unix or self._fleet.is_trusted(ip_of(address)):  # type: ignore[arg-type]
            variables = head.variables
            for name, secure in self._fleet.scheme_variables.items():
                value = variables.get(name)
                if value is None:
                    continue
                scheme = "https" if value == secure else "http"
                if said not in (None, scheme):
                    raise Refused(400, "two headers name different schemes")
                said = scheme
        return scheme

    def begin_drain(self, timeout_s: float) -> gevent.Greenlet | None:
        """Begin the drain of the whole worker."""
        return self._fleet.begin_drain(timeout_s)

    # At most `worker_connections`

    def do_read(self) -> tuple[Wire | int, SocketAddress] | None:
        """Accept one connection, if there is one and room for it; see `Server`."""
        if not self._has_room() and not self._has_made_room():
            self._waits_for_room = True
            self.stop_accepting()
            return None
        return super().do_read()

    def do_handle(self, wire: Wire | int, address: SocketAddress) -> None:
        """Serve what `do_read` has accepted; in the hub."""
        if self._front is None:
            self._secret_count += 1
        super().do_handle(wire, address)

    def wrap_socket_and_handle(self, client_socket: Wire, address: SocketAddress) -> None:
        """Serve a connection over TLS, and count it out."""
        try:
            super().wrap_socket_and_handle(client_socket, address)
        finally:
            self._secret_count -= 1
            self.connection_left()

    def connection_left(self) -> None:
        """Go on to accept connections, if there was no room for more."""
        if self._waits_for_room and self._has_room():
            self._waits_for_room = False
            self._start_accepting_if_started()

    def _has_room(self) -> bool:
        front = self._front
        count = self._secret_count if front is None else front.connection_count
        return count < self._fleet.most_connections

    def _has_made_room(self) -> bool:
        """Close connections between two requests, of clients that may come again at any time."""
        if self._front is not None:
            self._front.close_idle(_CLOSED_AT_ONCE)
        return self._has_room()
