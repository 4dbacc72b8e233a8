"""The same answers on real sockets: streams, chunked bodies and refusals under gunicorn, ours and
wsgiref.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from tests.support import servers
from tina4_wsgi.config import Config
from tina4_wsgi.http.handling import HttpHandling
from tina4_wsgi.routing.router import Router

SITE = """
import time
from pathlib import Path

from tina4_wsgi import App, Router

router = Router()

def events():
    try:
        yield "data: first\\n\\n"
        while True:
            time.sleep(0.02)
            yield ": still here\\n\\n"
    finally:
        print("the generator is closed", flush=True)

@router.get("/events")
def stream(request, response):
    return response.stream(events())

@router.post("/echo")
def echo(request, response):
    return request.body

@router.get("/file")
def file(request, response):
    return response.file("large.bin")

@router.websocket("/ws")
def ws(connection, event, data): ...

app = App(router=router, root=Path(__file__).parent, max_body_bytes=100)
"""
HEAD_END = b"\r\n\r\n"
DEADLINE_S = 10.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    (folder / "site_under_test.py").write_text(SITE)
    (folder / "large.bin").write_bytes(bytes(range(256)) * 8192)
    return folder


class QuietHandler(WSGIRequestHandler):
    """wsgiref's own, without a line for every request."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def wsgiref_address(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """Where wsgiref serves a WebSocket route, in a thread of this process."""
    router = Router()
    router.websocket("/ws", lambda connection, event, data: None)
    side = HttpHandling(router, Config(), tmp_path)
    with make_server("127.0.0.1", 0, side, handler_class=QuietHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield "127.0.0.1", server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(
    scope="module", params=["gunicorn -k gevent", "gunicorn -k sync", "tina4-wsgi serve"]
)
def server(request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory):
    log = tmp_path_factory.mktemp("log") / "log"
    env = {"PYTHONPATH": str(servers.ROOT)}
    if request.param == "tina4-wsgi serve":
        running = servers.own("site_under_test:app", folder, log, env=env)
    else:
        running = servers.gunicorn(
            "site_under_test:app", folder, log, env=env, worker_class=request.param.split()[-1]
        )
    with running as started:
        servers.wait_until_answering(started)
        yield started


def exchange(address: tuple[str, int], request: bytes) -> bytes:
    """Send a request that asks to close, and give everything that comes back."""
    with socket.create_connection(address, DEADLINE_S) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(65536), b""))


def get(path: str, method: str = "GET", fields: str = "") -> bytes:
    return (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n".encode()
    )


def test_a_stream_arrives_piece_by_piece_and_its_generator_is_closed_when_the_client_leaves(server):
    with socket.create_connection(server.address, DEADLINE_S) as client:
        client.sendall(get("/events"))
        received = b""
        while b"data: first\n\n" not in received or b": still here" not in received:
            received += client.recv(4096)
        assert "the generator is closed" not in server.log

    server.wait_for_log("the generator is closed")


def test_a_chunked_body_is_read(server):
    request = (
        get("/echo", "POST", "Transfer-Encoding: chunked\r\n") + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )

    head, _, body = exchange(server.address, request).partition(HEAD_END)

    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == b"abcde"


def test_a_chunked_body_over_the_limit_is_answered_413(server):
    request = (
        get("/echo", "POST", "Transfer-Encoding: chunked\r\n")
        + b"80\r\n"
        + b"x" * 128
        + b"\r\n0\r\n\r\n"
    )

    assert exchange(server.address, request).startswith(b"HTTP/1.1 413 ")


def test_a_body_said_to_be_over_the_limit_is_answered_413_without_waiting_for_it(server):
    answer = b""
    with socket.create_connection(server.address, DEADLINE_S) as client:
        client.sendall(get("/echo", "POST", "Content-Length: 1000000\r\n"))
        while HEAD_END not in answer:
            answer += client.recv(4096)

    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_large_file_arrives_whole(server, folder):
    head, _, body = exchange(server.address, get("/file")).partition(HEAD_END)

    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == (folder / "large.bin").read_bytes()


def test_a_part_of_a_large_file_arrives(server):
    request = get("/file", fields="Range: bytes=1000000-1000003\r\n")

    head, _, body = exchange(server.address, request).partition(HEAD_END)

    assert head.startswith(b"HTTP/1.1 206 ")
    assert body == b"\x40\x41\x42\x43"


@pytest.mark.parametrize("path", ["/file", "/none", "/events"])
def test_head_has_no_body(server, path):
    _, _, body = exchange(server.address, get(path, "HEAD")).partition(HEAD_END)

    assert body == b""


def test_a_websocket_asked_for_by_http_is_answered_426(server):
    head, _, body = exchange(server.address, get("/ws")).partition(HEAD_END)

    assert head.startswith(b"HTTP/1.1 426 ")
    assert b"\r\nupgrade: websocket" in head.lower()
    assert body.endswith(b"protocol.\n")


def test_options_is_answered_204_without_a_body(server):
    head, _, body = exchange(server.address, get("/echo", "OPTIONS")).partition(HEAD_END)

    assert head.startswith(b"HTTP/1.1 204 ")
    assert b"\r\nAllow: OPTIONS, POST" in head
    assert body == b""


def test_a_websocket_asked_for_by_http_is_answered_426_by_wsgiref_too(wsgiref_address):
    # It refuses answers with an Upgrade field, which other servers are given.
    head, _, body = exchange(wsgiref_address, get("/ws")).partition(HEAD_END)

    assert head.startswith(b"HTTP/1.0 426 ")
    assert body.endswith(b"protocol.\n")
