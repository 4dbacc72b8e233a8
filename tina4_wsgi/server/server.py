"""Our own server: gevent's pywsgi with the strict `Handler`, TCP_NODELAY, deadlines and a graceful
stop.

For development, and for production behind nothing or behind a proxy; one process, one port. The
same application runs under `gunicorn -k gevent` for several workers.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from wsgiref.util import FileWrapper

import gevent
from gevent import socket as gevent_socket
from gevent.event import Event
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer

from ..addresses.hosts import is_loopback_address
from ..config import Config
from ..hosting.claims import claims_upgrade
from .handler import WRITE_PATIENCE_S, Handler
from .listening import BACKLOG, DEFAULT_HOST, DEFAULT_PORT, listen
from .wire import cancel_wait, ip_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

ACCEPT_PAUSE_S = (
    0.1  # without descriptors the listening socket stays readable: trying at once would spin
)
ACCEPT_LOG_EVERY_S = 60.0
FIRST_REQUEST_S = 0.5  # a round trip to the other side of the world, and a slow device
KILL_S = 1.5  # for the `finally` blocks of requests that outlived the drain time

_POLL_S = 0.01

_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
# Of a connection that broke before it was accepted; Linux hands these out through accept().
_BROKEN_BEFORE = frozenset(
    getattr(errno, name)
    for name in ("ECONNABORTED", "ECONNRESET", "EPROTO", "ENETDOWN", "ENETUNREACH", "EHOSTUNREACH")
)

log = logging.getLogger("tina4_wsgi.server")


class Server(WSGIServer):  # type: ignore[misc]  # gevent ships no types
    """Serves one WSGI application on one port, on one UNIX socket, or on a socket that others
    listen on too.

    An application may have `claims_upgrade(environ) -> bool`: an upgrade that it doesn't claim is
    made as gevent-websocket makes it. And it may have `drain(timeout_s)`, which is called when the
    server stops. `tina4_wsgi.App` has both, and is found inside of other applications, see
    `mounting`.

    Greenlets: one per HTTP connection; `stop` may be called from any.

    Attributes:
        handlers: the HTTP connections being served.
        is_stopping: from the call of `stop` until all is over.
        script_name: the path below which the application is served, as WSGI has it.
    """

    backlog = BACKLOG
    handler_class = Handler
    # A callable is entered again while it waits, which is what "multithread" asks.
    base_env: Mapping[str, Any] = {
        **WSGIServer.base_env,
        "wsgi.multithread": True,
        "wsgi.file_wrapper": FileWrapper,
    }
    logger = log  # gevent-websocket's handler would make one of its own, with a handler that prints
    write_patience_s = WRITE_PATIENCE_S
    address: Any  # gevent's: a tuple, or the path of a UNIX socket

    def __init__(
        self,
        app: WSGIApplication,
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        *,
        unix_path: str | os.PathLike[str] | None = None,
        certfile: str | os.PathLike[str] | None = None,
        keyfile: str | os.PathLike[str] | None = None,
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
            certfile: the certificate chain in PEM; with it TLS is spoken.
            keyfile: its key, if not in the same file.
            config: the limits; by default the app's own, or those of the environment.
            listener: a socket that listens already and is another process's too, instead of any
                address.
            is_one_of_many: whether other processes serve the same application on it now.
            root_path: the path below which a proxy serves `app`, as "/shop"; by default that of the
                settings.
        Raises:
            OSError: the certificate can't be read (ssl.SSLError, if it is none).
            ConfigError: `root_path` is none.
        """
        self.config = config or _config_of(app)
        root = (
            self.config.root_path
            if root_path is None
            else Config.from_environ({}, root_path=root_path).root_path
        )
        self.script_name = root.encode().decode("latin-1")
        self.handlers: set[Handler] = set()
        self._strangers: set[Any] = set()  # sockets within their TLS handshake
        self.is_stopping = False
        self.unix_path = None if unix_path is None else Path(unix_path)
        self._has_stopped = Event()
        self._has_stopped.set()
        self._accept_logged_at = -ACCEPT_LOG_EVERY_S
        host = host.strip("[]")
        tls = {} if certfile is None else {"ssl_context": _tls_context(certfile, keyfile)}
        # SERVER_NAME is given because pywsgi would ask the name server for it, which may take its
        # time.
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
        """The port it listens on, once started; 0 on a UNIX socket."""
        return int(self.address[1]) if isinstance(self.address, tuple) else 0

    @property
    def is_on_loopback_only(self) -> bool:
        """Whether it listens where only this machine's own programs reach it, by an address; not on
        a UNIX socket.
        """
        return isinstance(self.address, tuple) and is_loopback_address(str(self.address[0]))

    def start(self) -> None:
        """Bind and begin to accept connections; they are served when the caller waits or returns to
        the hub.

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
        """Stop: no new connections, 1001 to WebSockets, time for running requests to finish; then
        return.

        Args:
            timeout: seconds for all that; by default `drain_timeout_s`. What still runs then is
                killed.
        Greenlets: blocks the caller; every further caller waits for the first.
        """
        if self._is_shared and not self.is_stopping and not self._has_stopped.is_set():
            self._leave_shared_socket()
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
        """Close the listening socket; what has been accepted goes on."""
        was_listening = not self.closed
        super().close()
        if was_listening and self.unix_path is not None:
            self.unix_path.unlink(missing_ok=True)

    def _leave_shared_socket(self) -> None:
        """Leave newcomers to the other processes; who was accepted a moment ago gets the time to
        say its request.

        It could as well have come to one that goes on, and nothing tells it to try again.
        """
        self.close()
        give_up_at = time.monotonic() + FIRST_REQUEST_S
        gevent.sleep(0)  # connections accepted in this turn get their handlers
        while time.monotonic() < give_up_at and any(handler.is_new for handler in self.handlers):
            gevent.sleep(_POLL_S)

    def _drain(self, timeout_s: float) -> None:
        give_up_at = time.monotonic() + timeout_s
        if self.started and not self._is_shared:
            # Who waits to be accepted has been told by the kernel that it is connected.
            self._do_read()
        self.close()
        app_drain = getattr(self.application, "drain", None)
        draining = gevent.spawn(app_drain, timeout_s) if app_drain is not None else None
        gevent.sleep(0)  # connections accepted in this turn get their handlers
        for wire in self._strangers:
            cancel_wait(wire)
        for handler in self.handlers:
            handler.cut_waiting()
            self.pool.spawn(handler.end_legacy_websocket)  # it may have to wait for the client
        self.pool.join(timeout=timeout_s)
        self.pool.kill(timeout=KILL_S)
        if draining is not None:
            draining.join(max(0.0, give_up_at - time.monotonic()) + KILL_S)
            draining.kill(timeout=KILL_S)

    def claims_upgrade(self, environ: dict[str, Any]) -> bool:
        """Say whether this upgrade is left to the application."""
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

    def do_read(self) -> tuple[Any, Any] | None:
        """Accept one connection, if there is one. Runs in the hub, so nothing here may wait."""
        try:
            accepted: tuple[Any, Any] | None = super().do_read()
        except OSError as exc:
            if exc.errno in _OUT_OF_RESOURCES:
                self._pause_accepting(exc)
            elif exc.errno not in _BROKEN_BEFORE:
                raise
            return None
        if accepted is not None and self.family != socket.AF_UNIX:
            try:
                accepted[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                pass  # it is gone already, as its handler will find
        return accepted

    def _pause_accepting(self, exc: OSError) -> None:
        self.stop_accepting()
        self._timer = self.loop.timer(ACCEPT_PAUSE_S)
        self._timer.start(self._start_accepting_if_started)
        now = time.monotonic()
        if now - self._accept_logged_at >= ACCEPT_LOG_EVERY_S:
            self._accept_logged_at = now
            # In a greenlet, since a log handler may wait for a lock.
            gevent.spawn(
                log.error, "no connection can be accepted for now: %s (see ulimit -n)", exc.strerror
            )

    def wrap_socket_and_handle(self, client_socket: Any, address: Any) -> None:
        """Make the TLS handshake, within the same time as a request head, and serve the
        connection.
        """
        try:
            wire = self.wrap_socket(client_socket, do_handshake_on_connect=False, **self.ssl_args)
        except OSError:  # it is gone already
            client_socket.close()
            return
        try:
            if self._has_shaken_hands(wire, address):
                self.handle(wire, address)
        finally:
            wire.close()

    def _has_shaken_hands(self, wire: Any, address: Any) -> bool:
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


def _config_of(app: object) -> Config:
    config = getattr(app, "config", None)  # of a Flask app it is a dict
    return config if isinstance(config, Config) else Config.from_environ()


def _tls_context(certfile: str | os.PathLike[str], keyfile: str | os.PathLike[str] | None) -> Any:
    # Imported late: it takes 2 MiB, and patching warns about modules that hold classes of an
    # unpatched ssl.
    from gevent import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certfile, keyfile)
    context.set_alpn_protocols(["http/1.1"])
    return context
