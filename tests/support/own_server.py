"""Our own server in this process, on a port that the kernel chose, and a client to talk to it in
bytes.
"""

from __future__ import annotations

import contextlib
import socket as native_socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gevent import socket

from tests.support.raw import Head, RawClient
from tina4_wsgi.config import Config
from tina4_wsgi.server.server import Server

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from tina4_wsgi.hosting.switching import Taken
    from tina4_wsgi.hub.stream import Stream

ANSWER_S = 20.0
STOP_S = 0.5


@contextlib.contextmanager
def running(app: WSGIApplication, **settings: Any) -> Iterator[Server]:
    """Serve `app` until the block ends; `settings` are fields of `Config`."""
    server = Server(app, port=0, config=Config(**settings))
    server.start()
    try:
        yield server
    finally:
        server.stop(STOP_S)


def dial(server: Server) -> RawClient:
    """Connect; the client's waits let the server run."""
    return RawClient(socket.create_connection(("127.0.0.1", server.port), ANSWER_S))


def exchange(server: Server, data: bytes) -> bytes:
    """Send these bytes over a connection of their own, and give all that comes until the server
    closes it.
    """
    with dial(server) as client:
        client.send_bytes(data)
        return client.read_to_end()


def read_answer(client: RawClient) -> tuple[Head, bytes]:
    """Read one answer that has a Content-Length."""
    head = client.read_head()
    return head, client.read_exactly(int(head.headers["content-length"]))


def socket_of(taken: Taken) -> native_socket.socket | Stream:
    """Give what a taken connection is read and written by; our own server gives a descriptor."""
    stream = taken.stream
    return native_socket.socket(fileno=stream) if isinstance(stream, int) else stream


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The smallest application."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]
