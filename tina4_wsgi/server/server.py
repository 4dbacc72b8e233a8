"""The framework's server: gevent's pywsgi with a strict `Handler`, deadlines and graceful stop.

It also sets TCP_NODELAY. Of pywsgi, connections without TLS only have the way to call an
application: accepted in batches, they wait in a `Front`, and need no greenlet until a request waits
for something.

For development, and for production behind nothing or behind a proxy; one process, one port. The
same application runs under `gunicorn -k gevent` for several workers.
"""

from __future__ import annotations

import errno
import logging
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING
from wsgiref.util import FileWrapper

import gevent
from gevent import socket as gevent_socket
from gevent.event import Event
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer

from ..addresses.hosts import is_loopback_address
from ..config import Config
from ..hosting.claims import claims_upgrade
from ..hub.syscalls import accept
from .front import Front
from .handler import WRITE_PATIENCE_S, Handler
from .listening import BACKLOG, DEFAULT_HOST, DEFAULT_PORT, listen
from .loading import config_of
from .plain_handler import PlainHandler
from .request_head import HeadLimits
from .wire import cancel_wait, ip_of

if TYPE_CHECKING:
    import os
    import ssl
    from collections.abc import Mapping

    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

    from .handler import Served
    from .listening import SocketAddress
    from .wire import Wire

ACCEPT_PAUSE_S = 0.1
"""Without free descriptors the listening socket stays readable: retrying at once would spin."""

ACCEPT_LOG_EVERY_S = 60.0

MOST_ACCEPTED = 64
"""Connections accepted in one turn of the hub, so that those that are there get theirs; one where
several processes listen, so that each gets its share.
"""

FIRST_REQUEST_S = 0.5
"""A round trip to the other side of the world, and a slow device."""

KILL_S = 1.5
"""Time for the `finally` blocks of requests that outlived the drain time."""

_POLL_S = 0.01

_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
# Linux's accept() raises these for connections that broke before they were accepted.
_BROKEN_BEFORE = frozenset(
    getattr(errno, name)
    for name in ("ECONNABORTED", "ECONNRESET", "EPROTO", "ENETDOWN", "ENETUNREACH", "EHOSTUNREACH")
)

log = logging.getLogger("tina4_wsgi.server")


class Server(WSGIServer):  # type: ignore[misc]  # gevent ships no types
    """Serves one WSGI application on a port, on a UNIX socket or on a shared listening socket.

    An application may have `claims_upgrade(environ) -> bool`: upgrades that it doesn't claim are
    made as gevent-websocket makes them. It may also have `drain(timeout_s)`, which is called when
    the server stops. `tina4_wsgi.App` has both, and is found inside other applications, see
    `hosting.claims`.

    Greenlets: one per HTTP connection over TLS, and one per request that waits for something; any
        may call `stop`.

    Attributes:
        handlers: the HTTP connections being served.
        limits: of request heads.
        is_stopping: true from the call of `stop` until everything has ended.
        script_name: the path below which the application is served, as WSGI has it.
    """

    backlog = BACKLOG
    max_accept = MOST_ACCEPTED
    handler_class = Handler
    plain_handler_class = PlainHandler
    # The application is called again while another call waits: WSGI's "multithread".
    base_env: Mapping[str, object] = {
        **WSGIServer.base_env,
        "wsgi.multithread": True,
        "wsgi.file_wrapper": FileWrapper,
    }
    # Without it gevent-websocket's handler would make a logger of its own, which prints.
    logger = log
    write_patience_s = WRITE_PATIENCE_S
    # How long a stop leaves clients that are between two requests time for one more.
    idle_patience_s = 0.0
    address: SocketAddress

    def __init__(
        self,
        app: WSGIApplication,
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        *,
        unix_path: str | os.PathLike[str] | None = None,
        certfile: str | os.PathLike[str] | None = None,
        keyfile: str | os.PathLike[str] | None = None,
        tls_context: ssl.SSLContext | None = None,
        config: Config | None = None,
        listener: socket.socket | None = None,
        is_one_of_many: bool = False,
        root_path: str | None = None,
    ) -> None:
        """Prepare to serve `app`; `start` binds.

        Args:
            host: an address or a name; "::" is every interface.
            port: 0 for one that the kernel chooses; see `port` after `start`.
            unix_path: where to listen instead of on a port.
            certfile: the certificate chain in PEM; with it the server speaks TLS.
            keyfile: its key, if it isn't in the same file.
            tls_context: what to speak TLS with, instead of a `certfile`.
            config: the limits; by default the app's own, or those of the environment.
            listener: a listening socket that other processes share, instead of an address.
            is_one_of_many: whether other processes serve the same application at the same time.
            root_path: the path below which a proxy serves `app`, such as "/shop"; by default that
                of the settings.
        Raises:
            OSError: the certificate can't be read (ssl.SSLError: it is no certificate).
            ConfigError: `root_path` is no path.
        """
        self.config = config = config or config_of(app)
        self.limits = HeadLimits(
            config.max_header_bytes, config.max_header_count, config.max_head_bytes
        )
        root = (
            self.config.root_path
            if root_path is None
            else Config.from_environ({}, root_path=root_path).root_path
        )
        self.script_name = root.encode().decode("latin-1")

        self.handlers: set[Served] = set()
        self._front: Front | None = None  # without TLS, from the start to the stop
        self._strangers: set[Wire] = set()  # in their TLS handshake
        self.is_stopping = False
        self.unix_path = None if unix_path is None else Path(unix_path)
        self._has_stopped = Event()
        self._has_stopped.set()
        self._accept_logged_at = -ACCEPT_LOG_EVERY_S

        host = host.strip("[]")
        if certfile is not None:
            tls_context = _tls_context(certfile, keyfile)
        tls = {} if tls_context is None else {"ssl_context": tls_context}
        # Without SERVER_NAME pywsgi would ask the name server for it, which may take its time.
        environ = {
            "SERVER_NAME": host or "localhost",
            "tina4_wsgi.server": self,
            "wsgi.multiprocess": is_one_of_many,
        }

        self._is_shared = listener is not None
        place = (host, port) if listener is None else gevent_socket.socket(fileno=listener.detach())
        super().__init__(place, app, spawn=Pool(), log=None, environ=environ, **tls)
        if listener is None:
            self.family = socket.AF_INET6 if ":" in host else socket.AF_INET

    @property
    def port(self) -> int:
        """The port that it listens on, once started; 0 for a UNIX socket."""
        return int(self.address[1]) if isinstance(self.address, tuple) else 0

    @property
    def is_on_loopback_only(self) -> bool:
        """Whether its address can only be reached from this machine; False for a UNIX socket."""
        return isinstance(self.address, tuple) and is_loopback_address(str(self.address[0]))

    def start(self) -> None:
        """Bind and begin to accept connections.

        They are served when the caller waits or returns to the hub.

        Raises:
            OSError: the address can't be bound.
        """
        self.set_spawn(self.pool)  # `close` takes it away
        self._has_stopped.clear()
        super().start()

    def serve_forever(self, stop_timeout: float | None = None) -> None:
        """Serve until `stop` has been called and has finished; blocks the calling greenlet."""
        if not self.started:
            self.start()
        try:
            self._has_stopped.wait()
        finally:
            self.stop(stop_timeout)

    def stop(self, timeout: float | None = None) -> None:
        """Stop accepting, close WebSockets with 1001, and give running requests time to finish.

        Args:
            timeout: seconds for all of that; by default `drain_timeout_s`. What still runs then is
                killed.
        Greenlets: blocks the caller; every further caller waits for the first.
        """
        if self._is_shared and not self.is_stopping and not self._has_stopped.is_set():
            self.leave_shared_socket()

        if self.is_stopping:
            self._has_stopped.wait()
        elif not self._has_stopped.is_set():
            self.is_stopping = True
            try:
                self._drain(self.config.drain_timeout_s if timeout is None else timeout)
            finally:
                self.is_stopping = False
                self._has_stopped.set()

    def close(self) -> None:
        """Close the listening socket; accepted connections go on."""
        was_listening = not self.closed
        super().close()
        if was_listening and self.unix_path is not None:
            self.unix_path.unlink(missing_ok=True)

    def leave_shared_socket(self) -> None:
        """Stop accepting; connections accepted a moment ago still get time for a first request.

        Another process could have accepted them as well, and nothing tells these clients to retry.

        Greenlets: blocks the caller; does nothing when repeated.
        """
        if self.closed:
            return
        self.close()
        give_up_at = time.monotonic() + FIRST_REQUEST_S
        gevent.sleep(0)  # connections accepted in this turn get their handlers
        while time.monotonic() < give_up_at and self._has_new_ones():
            gevent.sleep(_POLL_S)

    def _has_new_ones(self) -> bool:
        return bool(self._strangers) or any(handler.is_new for handler in self.handlers)

    def _drain(self, timeout_s: float) -> None:
        give_up_at = time.monotonic() + timeout_s
        if self.started and not self._is_shared:
            # The kernel has told clients in its queue that they are connected: accept them all.
            usual, self.max_accept = self.max_accept, self.backlog
            self._do_read()
            self.max_accept = usual
        self.close()

        draining = self.begin_drain(timeout_s)
        gevent.sleep(0)  # connections accepted in this turn get their handlers
        idle_until = time.monotonic() + self.idle_patience_s
        while time.monotonic() < idle_until and self.handlers:
            gevent.sleep(_POLL_S)

        for wire in self._strangers:
            cancel_wait(wire)
        for handler in list(self.handlers):
            handler.cut_waiting()
            self.pool.spawn(handler.end_legacy_websocket)  # which may wait for the client

        self.pool.join(timeout=max(0.0, give_up_at - time.monotonic()))
        self.pool.kill(timeout=KILL_S)
        if self._front is not None:
            self._front.join(max(0.0, give_up_at - time.monotonic()))
            self._front.kill(KILL_S)
            self._front.close()
        if draining is not None:
            draining.join(max(0.0, give_up_at - time.monotonic()) + KILL_S)
            draining.kill(timeout=KILL_S)

    def begin_drain(self, timeout_s: float) -> gevent.Greenlet | None:
        """Have the application close its WebSockets; return who does, None if nobody has to."""
        app_drain = getattr(self.application, "drain", None)
        return None if app_drain is None else gevent.spawn(app_drain, timeout_s)

    def connection_left(self) -> None:
        """Note that a connection is closed or given away; for servers that count them."""

    def claims_upgrade(self, environ: WSGIEnvironment) -> bool:
        """Return whether this upgrade is left to the application."""
        return claims_upgrade(self.application, environ)

    # Accepting

    def init_socket(self) -> None:
        """Bind; called by `start`."""
        if self.closed:
            if self.unix_path is not None:
                self.family, self.address = socket.AF_UNIX, str(self.unix_path)
            listener = listen(self.family, self.address, self.backlog)
            self.socket = gevent_socket.socket(fileno=listener.detach())
            self.address = self.socket.getsockname()
        super().init_socket()
        if self.family != socket.AF_UNIX:
            # Accepted sockets inherit it.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self.ssl_enabled:
            self._front = Front(self, self.socket.family)

    def do_read(self) -> tuple[Wire | int, SocketAddress] | None:
        """Accept one connection, if there is one; runs in the hub, so it must not wait.

        Returns:
            The socket, or without TLS its descriptor, and the client's address.
        """
        try:
            accepted: tuple[Wire | int, SocketAddress] | None
            accepted = super().do_read() if self._front is None else accept(self.socket)
        except OSError as exc:
            if exc.errno in _OUT_OF_RESOURCES:
                self.pause_accepting(exc)
            elif exc.errno not in _BROKEN_BEFORE:
                raise
            return None
        return accepted

    def do_handle(self, wire: Wire | int, address: SocketAddress) -> None:
        """Serve what `do_read` has accepted; in the hub."""
        if self._front is None:
            super().do_handle(wire, address)
        else:
            self._front.welcome(wire, address)

    def pause_accepting(self, exc: OSError) -> None:
        """Accept nobody for a while, since the system has no room for one more; in the hub."""
        self.stop_accepting()
        self._timer = self.loop.timer(ACCEPT_PAUSE_S)
        self._timer.start(self._start_accepting_if_started)
        now = time.monotonic()
        if now - self._accept_logged_at >= ACCEPT_LOG_EVERY_S:
            self._accept_logged_at = now
            # It runs in a greenlet, since a log handler may wait for a lock.
            gevent.spawn(
                log.error, "no connection can be accepted for now: %s (see ulimit -n)", exc.strerror
            )

    def wrap_socket_and_handle(self, client_socket: Wire, address: SocketAddress) -> None:
        """Make the TLS handshake, with the deadline of a request head, and serve the connection."""
        try:
            wire = self.wrap_socket(client_socket, do_handshake_on_connect=False, **self.ssl_args)
        except OSError:  # the client has gone
            client_socket.close()
            return
        try:
            if self._has_shaken_hands(wire, address):
                self.handle(wire, address)
        finally:
            wire.close()

    def _has_shaken_hands(self, wire: Wire, address: SocketAddress) -> bool:
        if self.is_stopping:
            return False

        self._strangers.add(wire)
        try:
            with gevent.Timeout(self.config.handshake_timeout_s, TimeoutError("it took too long")):
                wire.do_handshake()
            return True
        except OSError as exc:
            if not self.is_stopping:
                reason = getattr(exc, "reason", None) or exc
                log.warning("TLS handshake with %s failed: %s", ip_of(address), reason)
            return False
        finally:
            self._strangers.discard(wire)


def _tls_context(
    certfile: str | os.PathLike[str], keyfile: str | os.PathLike[str] | None
) -> ssl.SSLContext:
    # Imported late: it takes 2 MiB, and patching warns about modules that hold classes of an
    # unpatched ssl.
    from gevent import ssl as gevent_ssl

    context: ssl.SSLContext = gevent_ssl.SSLContext(gevent_ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = gevent_ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certfile, keyfile)
    context.set_alpn_protocols(["http/1.1"])
    return context
