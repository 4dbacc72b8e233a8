"""Handshakes that are never finished, on our own server: gunicorn leaves these to the proxy before
it.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from tests.support.deadline import NEVER_S
from tests.support.hostile import run_arena
from tests.support.raw import ANSWER_S, request_head
from tests.support.site import Site

CLIENTS = 200  # one after the other they would take longer than the test may
TIMEOUT_S = 1.0

HANDSHAKE = request_head("/ws/echo/slow", "localhost", "dGhlIHNhbXBsZSBub25jZQ==")


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Our own server, with little patience."""
    folder = tmp_path_factory.mktemp("arena-impatient")
    limits = {
        "TINA4_WS_HANDSHAKE_TIMEOUT_S": str(TIMEOUT_S),
        "TINA4_WS_KEEPALIVE_TIMEOUT_S": str(NEVER_S),
    }
    with run_arena("own", folder, limits) as running:
        yield running


def read_all(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65_536), b""))


@pytest.mark.parametrize("sent", [0, 1, 40, len(HANDSHAKE) - 2])
def test_handshakes_that_are_never_finished_are_cut_in_time(arena: Site, sent: int) -> None:
    with contextlib.ExitStack() as opened:
        clients = [
            opened.enter_context(socket.create_connection(arena.address, ANSWER_S))
            for _ in range(CLIENTS)
        ]
        for client in clients:
            client.sendall(HANDSHAKE[:sent])

        answers = {read_all(client)[:13] for client in clients}

    assert answers == {b"HTTP/1.1 408 " if sent else b""}
    assert "Traceback" not in arena.server.log
