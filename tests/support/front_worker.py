"""gunicorn with our worker class, and an application that tells what it was asked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.support import servers
from tests.support.raw import ANSWER_S, Head, RawClient

WORKER = "tina4_wsgi.worker.Worker"
CERTIFICATE = servers.ROOT / "tests" / "server" / "localhost.pem"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="

APP = """
import os

from gevent import sleep
from tina4_wsgi import App, Router

router = Router()


@router.get("/")
def hello(request, response):
    return "hello"


@router.get("/pid")
def pid(request, response):
    return str(os.getpid())


@router.get("/scheme")
def scheme(request, response):
    return request.environ["wsgi.url_scheme"]


@router.get("/slow")
def slow(request, response):
    print("slow has begun", flush=True)
    sleep(0.5)
    return "done"


@router.get("/broken")
def broken(request, response):
    raise LookupError("on purpose")


@router.post("/length")
def length(request, response):
    return str(len(request.body))


@router.websocket("/ws/{room}")
def echo(connection, event, data):
    if event == "open":
        connection.send(str(os.getpid()))
    if event == "message" and data == "all":
        connection.broadcast("to all")
    elif event == "message":
        connection.send(data)
    if event == "close":
        sleep(0.2)
        print("left with", connection.close_code, flush=True)


app = App(router=router)


def bare(environ, start_response):
    if "wsgi.websocket" in environ:
        return shout(environ["wsgi.websocket"])
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Kind", "bare")])
    if environ["PATH_INFO"] == "/pieces":
        return (piece for piece in (b"one", b"three"))
    if environ["PATH_INFO"] == "/peer":
        return [environ["gunicorn.socket"].getpeername()[0].encode()]
    names = environ["QUERY_STRING"].split(",")
    return ["\\n".join(f"{name}={environ.get(name)}" for name in names).encode()]


def shout(websocket):
    while (text := websocket.receive()) is not None:
        websocket.send(text.upper())
    return []


bare.claims_upgrade = lambda environ: False
"""


@contextlib.contextmanager
def serving(
    folder: Path, *options: str, target: str = "app", conf: str = "", **env: str
) -> Iterator[servers.Server]:
    """Run gunicorn with `APP` until the block ends, and wait until a worker serves it.

    Args:
        target: which of its applications.
        conf: the text of a gunicorn.conf.py.
        env: further variables.
    """
    (folder / "site_of_worker.py").write_text(APP)
    (folder / "gunicorn.conf.py").write_text(conf)
    with servers.gunicorn(
        f"site_of_worker:{target}",
        folder,
        folder / "log",
        *options,
        worker_class=WORKER,
        env={"PYTHONPATH": str(servers.ROOT), **env},
    ) as server:
        yield server


def ask(client: RawClient, path: str = "/", *fields: str, method: str = "GET") -> tuple[Head, str]:
    """Make one HTTP request on a connection that stays, and give the answer with its body."""
    lines = "".join(f"{field}\r\n" for field in fields)
    client.send_bytes(f"{method} {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode())
    head = client.read_head()
    body = client.read_exactly(int(head.headers["content-length"]))
    return head, body.decode()


def asked(
    server: servers.Server, path: str = "/", *fields: str, method: str = "GET"
) -> tuple[Head, str]:
    """Make one HTTP request on a connection of its own."""
    with RawClient.dial(server.address, ANSWER_S) as client:
        return ask(client, path, *fields, method=method)


def answer_to(server: servers.Server, data: bytes) -> bytes:
    """Send exactly these bytes, and give all that comes until the server closes."""
    with RawClient.dial(server.address, ANSWER_S) as client:
        client.send_bytes(data)
        return client.read_to_end()
