"""An address that leads to one server, and later to another, as that of a failover does."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

READ_BYTES = 65_536


class Forwarder:
    """Takes connections, and carries bytes both ways.

    Attributes:
        port: on loopback.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def lead_to(self, target: int) -> None:
        """Cut all connections; new ones lead to another port."""
        with self._lock:
            self._target = target
            sockets, self._sockets = self._sockets, []
            threads, self._threads = self._threads[1:], self._threads[:1]
        for one in sockets:
            _end(one)
        for thread in threads:
            thread.join()
        for one in sockets:
            one.close()

    def close(self) -> None:
        """Cut all connections, and take no more."""
        _end(self._listener)
        self._threads[0].join()
        self._listener.close()
        self.lead_to(0)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                target = self._target
            try:
                server = socket.create_connection(("127.0.0.1", target))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._sockets += [client, server]
                for pair in ((client, server), (server, client)):
                    thread = threading.Thread(target=_carry, args=pair)
                    thread.start()
                    self._threads.append(thread)


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(READ_BYTES):
            sink.sendall(data)
    _end(source)
    _end(sink)


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def forwarding(target: int) -> Iterator[Forwarder]:
    """Forward to a port until the block ends."""
    forwarder = Forwarder(target)
    try:
        yield forwarder
    finally:
        forwarder.close()
