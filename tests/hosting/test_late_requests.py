"""Requests that come while the interpreter ends, to a server with a thread for each."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tina4_wsgi.hosting import late_requests

WAIT_S = 10.0


class Handler(socketserver.StreamRequestHandler):
    """Answers, and looks for its server as an app in it does."""

    def handle(self) -> None:
        self.server.found.append(late_requests.server_of_this_thread())  # type: ignore[attr-defined]
        self.wfile.write(b"hi")


@pytest.fixture(autouse=True)
def starts_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(late_requests, "_STARTS_NO_THREADS", True)


@pytest.fixture(params=[socketserver.ThreadingTCPServer, socketserver.TCPServer])
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    with request.param(("127.0.0.1", 0), Handler) as server:
        server.found = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def visit(server: Any) -> bytes:
    with socket.create_connection(server.server_address, WAIT_S) as client:
        return client.recv(100)


def test_a_server_with_a_thread_for_each_request_is_found_and_no_other(server):
    assert visit(server) == b"hi"

    is_threading = isinstance(server, socketserver.ThreadingMixIn)
    assert server.found == [server if is_threading else None]


def test_where_no_request_runs_there_is_none():
    assert late_requests.server_of_this_thread() is None


def test_where_threads_can_be_started_until_the_end_none_is_looked_for(server, monkeypatch):
    monkeypatch.setattr(late_requests, "_STARTS_NO_THREADS", False)

    visit(server)

    assert server.found == [None]


def test_who_comes_late_is_closed_without_a_word(server, capsys):
    late_requests.refuse_requests(server)

    assert visit(server) == b""
    assert capsys.readouterr().err == ""
