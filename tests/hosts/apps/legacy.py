"""A legacy application that uses every corner of PEP 3333: bare, inside an App, and with a
validator on both sides.
"""

from __future__ import annotations

import io
import os
import sys
from collections import OrderedDict
from pathlib import Path
from wsgiref.validate import validator

from geventwebsocket.protocols.base import BaseProtocol
from geventwebsocket.resource import Resource, WebSocketApplication

from tina4_wsgi import App, Router

PLAIN = [("Content-Type", "text/plain")]
BLOCK_BYTES = 100_000


def by_write(environ, start_response):
    """Send a part by `write`, and the rest by what is returned."""
    write = start_response("200 OK", [*PLAIN, ("X-Way", "write")])
    write(b"one ")
    write(b"two ")
    return [b"three"]


def by_generator(environ, start_response):
    """Send from a generator, with an empty piece in it."""
    start_response("200 OK", PLAIN)
    return pieces()


def pieces():
    try:
        yield b"one "
        yield b""
        yield b"two"
    finally:
        print("pieces are closed", flush=True)


def lazily(environ, start_response):
    """Begin the answer when its first piece is asked for."""
    start_response("200 OK", PLAIN)
    yield b"lazy"


def without_end(environ, start_response):
    """Send until the client has gone."""
    start_response("200 OK", PLAIN)
    try:
        while True:
            yield b"x" * BLOCK_BYTES
    finally:
        print("the endless one is closed", flush=True)


def failing_early(environ, start_response):
    """Think better of it before anything has left."""
    start_response("200 OK", [*PLAIN, ("X-Was", "fine")])
    try:
        raise RuntimeError("on purpose")
    except RuntimeError:
        start_response("503 Service Unavailable", PLAIN, sys.exc_info())
    return [b"after all"]


def failing_late(environ, start_response):
    """Fail when a part has left: `start_response` raises the error again."""
    write = start_response("200 OK", [*PLAIN, ("Content-Length", "100")])
    write(b"a part")
    try:
        raise ValueError("too late")
    except ValueError:
        start_response("500 Internal Server Error", PLAIN, sys.exc_info())
    return [b"never seen"]


def file(environ, start_response):
    """Hand a file to the server, by its wrapper where it has one."""
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    wrap = environ.get("wsgi.file_wrapper", lambda one, size: iter(lambda: one.read(size), b""))
    return wrap(open(os.environ["LARGE_FILE"], "rb"), 8_192)


def memory_file(environ, start_response):
    """The same with what is no file."""
    start_response("200 OK", PLAIN)
    wrap = environ.get("wsgi.file_wrapper", lambda one, size: iter(lambda: one.read(size), b""))
    return wrap(io.BytesIO(b"from memory"), 4)


def echo(environ, start_response):
    """Read the body in pieces, then send it back."""
    body = b""
    while piece := environ["wsgi.input"].read(7):
        body += piece
        if len(body) == int(environ.get("CONTENT_LENGTH") or -1):
            break
    start_response("200 OK", [*PLAIN, ("Content-Length", str(len(body)))])
    return [body]


def lines(environ, start_response):
    """Read the first line only, and leave the rest."""
    first = environ["wsgi.input"].readline(1_000)
    start_response("200 OK", [*PLAIN, ("Content-Length", str(len(first)))])
    return [first]


def ignoring(environ, start_response):
    """Answer without a look at the body."""
    start_response("200 OK", [*PLAIN, ("Content-Length", "7")])
    return [b"ignored"]


def own_wrapper(environ, start_response):
    """Count on the server's file wrapper, as some applications do."""
    start_response("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](NotedFile(b"wrapped"))


class NotedFile(io.BytesIO):
    """Says so when it is closed."""

    def close(self):
        if not self.closed:
            print("the file is closed", flush=True)
        super().close()


def place(environ, start_response):
    """Say where it was asked."""
    names = (
        "REQUEST_METHOD",
        "SCRIPT_NAME",
        "PATH_INFO",
        "QUERY_STRING",
        "CONTENT_TYPE",
        "HTTP_COOKIE",
    )
    body = repr({name: environ.get(name) for name in names}).encode()
    start_response("200 OK", [*PLAIN, ("Content-Length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def nothing(environ, start_response):
    start_response("204 No Content", [])
    return []


def unchanged(environ, start_response):
    start_response("304 Not Modified", [("ETag", '"1"')])
    return []


def cookies(environ, start_response):
    """Two fields of one name, in order."""
    start_response(
        "302 Found", [*PLAIN, ("Set-Cookie", "a=1"), ("Location", "/b"), ("Set-Cookie", "b=2")]
    )
    return [b""]


def raising(environ, start_response):
    raise LookupError("on purpose, before the beginning")


PATHS = {
    "/write": by_write,
    "/generator": by_generator,
    "/lazily": lazily,
    "/endless": without_end,
    "/failing-early": failing_early,
    "/failing-late": failing_late,
    "/file": file,
    "/memory": memory_file,
    "/own-wrapper": own_wrapper,
    "/echo": echo,
    "/lines": lines,
    "/ignoring": ignoring,
    "/nothing": nothing,
    "/unchanged": unchanged,
    "/cookies": cookies,
    "/raising": raising,
}


def bare(environ, start_response):
    """Choose by the path; what has none of its own says where it is."""
    websocket = environ.get("wsgi.websocket")
    if websocket is not None:
        while (message := websocket.receive()) is not None:
            websocket.send(f"legacy {environ['PATH_INFO'].encode('latin-1')!r}: {message}")
        return []
    return PATHS.get(environ["PATH_INFO"], place)(environ, start_response)


bare.claims_upgrade = lambda environ: False  # our own server makes them as gevent-websocket does

router = Router()


@router.websocket("/ws/{name}")
def ours(connection, event, data):
    if event == "message":
        connection.send(f"ours: {data}")


mounted = App(bare, router=router, root=Path(__file__).parent)
inside_validator = App(validator(bare), router=router, root=Path(__file__).parent)
between_validators = validator(App(validator(bare), router=router, root=Path(__file__).parent))


class WampLike(BaseProtocol):
    """A subprotocol, as gevent-websocket's applications name theirs."""

    PROTOCOL_NAME = "legacy.v1"


class Echo(WebSocketApplication):
    """An application of gevent-websocket's own kind."""

    protocol_class = WampLike

    def handle(self):
        while (message := self.ws.receive()) is not None:
            self.ws.send(f"resource: {message}")


made_of_resources = Resource(OrderedDict([("^/", Echo)]))
made_of_resources.claims_upgrade = lambda environ: False
resource = App(made_of_resources, router=router, root=Path(__file__).parent)
