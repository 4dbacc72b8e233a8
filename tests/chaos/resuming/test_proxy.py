"""The bad network, on real sockets: what passes, what is cut, and what is left half open."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator

import pytest

from chaos.resuming import proxy as module
from chaos.resuming.proxy import WEIGHTS, Proxy
from tests.support.polling import poll_until

PATIENCE_S = 10.0


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(PATIENCE_S)
        yield sock


@pytest.fixture
def proxy(listener: socket.socket) -> Iterator[Proxy]:
    with Proxy(listener.getsockname(), seed=7) as running:
        yield running


def connect(proxy: Proxy, listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Open a line, and give its client's and its server's socket."""
    client = socket.create_connection(proxy.address, PATIENCE_S)
    client.sendall(b"hello")
    server, _ = listener.accept()
    server.settimeout(PATIENCE_S)
    assert server.recv(5) == b"hello"
    return client, server


@contextlib.contextmanager
def line(
    listener: socket.socket, seed: int = 0
) -> Iterator[tuple[Proxy, socket.socket, socket.socket]]:
    """Open a line through a proxy of its own; give the proxy and both ends."""
    with Proxy(listener.getsockname(), seed) as proxy:
        client, server = connect(proxy, listener)
        with client, server:
            yield proxy, client, server


def listen_once(proxy: Proxy) -> bytes:
    with socket.create_connection(proxy.address, PATIENCE_S) as client:
        return client.recv(1)


def only(monkeypatch: pytest.MonkeyPatch, fate: str) -> None:
    """Have this happen to each line, as soon as it is allowed."""
    monkeypatch.setattr(module, "WEIGHTS", {fate: 1})
    monkeypatch.setattr(module, "SHORTEST_LIFE_S", 0.0)
    monkeypatch.setattr(module, "LONGEST_LIFE_S", 0.0)


def wait_for(proxy: Proxy, fate: str) -> None:
    poll_until(lambda: proxy.counts[fate], lambda: proxy.counts)


def test_bytes_pass_both_ways_and_an_end_passes_too(proxy, listener):
    client, server = connect(proxy, listener)
    with client, server:
        text = bytes(range(256)) * 4_000
        server.sendall(text)
        received = b""
        while len(received) < len(text):
            received += client.recv(65_536)
        server.close()

        assert received == text
        assert client.recv(1) == b""


def test_a_server_that_resets_its_end_resets_the_clients(proxy, listener):
    client, server = connect(proxy, listener)
    with client:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.close()

        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_client_of_a_target_that_is_down_is_refused(listener):
    with Proxy(listener.getsockname()) as proxy:
        listener.close()

        # The reset may come before `connect` has returned.
        with pytest.raises(ConnectionResetError):
            listen_once(proxy)


def test_lines_live_while_nothing_is_to_be_disturbed(monkeypatch, listener):
    only(monkeypatch, "reset")
    with line(listener) as (proxy, client, server):
        server.sendall(b"still here")

        assert client.recv(10) == b"still here"
        assert not proxy.counts


def test_a_reset_resets_both_ends(monkeypatch, listener):
    only(monkeypatch, "reset")
    with line(listener) as (proxy, client, server):
        proxy.is_disturbing = True
        wait_for(proxy, "reset")

        with pytest.raises(ConnectionResetError):
            client.recv(1)
        with pytest.raises(ConnectionResetError):
            server.recv(1)


def test_a_cut_tears_the_next_chunk_apart(monkeypatch, listener):
    only(monkeypatch, "end")
    monkeypatch.setattr(module, "LAST_CHUNK_S", PATIENCE_S)
    text = bytes(50_000)
    with line(listener, seed=7) as (proxy, client, server):
        proxy.is_disturbing = True
        wait_for(proxy, "end")
        server.sendall(text)

        received = b"".join(iter(lambda: client.recv(65_536), b""))

        assert 0 < len(received) < len(text)


def test_an_end_closes_both_ends_without_a_reset(monkeypatch, listener):
    only(monkeypatch, "end")
    with line(listener) as (proxy, client, server):
        proxy.is_disturbing = True

        assert client.recv(1) == b""
        assert server.recv(1) == b""


def test_a_stalled_line_passes_later_what_was_said_meanwhile(monkeypatch, listener):
    only(monkeypatch, "stall")
    with line(listener) as (proxy, client, server):
        proxy.is_disturbing = True
        wait_for(proxy, "stall")
        server.sendall(b"late")
        proxy.is_disturbing = False

        assert client.recv(4) == b"late"


def test_a_half_open_line_is_reset_for_the_client_and_open_for_the_server(monkeypatch, listener):
    only(monkeypatch, "half-open")
    with line(listener) as (proxy, client, server):
        proxy.is_disturbing = True
        wait_for(proxy, "half-open")
        server.sendall(b"to nobody")

        with pytest.raises(ConnectionResetError):
            client.recv(1)
        server.sendall(b"still to nobody")
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.recv(1)


def test_all_lines_are_cut_on_request_and_new_ones_go_to_the_new_target(proxy, listener):
    client, server = connect(proxy, listener)
    with client, server, socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(PATIENCE_S)
        proxy.target = other.getsockname()
        proxy.cut_all()

        with pytest.raises(ConnectionResetError):
            client.recv(1)
        for sock in connect(proxy, other):
            sock.close()


def test_the_same_seed_gives_each_line_the_same_mishaps():
    def fates(seed: int) -> list[str]:
        first = module.Line(socket.socket(), socket.socket(), module.chance_of(seed, 3))
        with first.near.sock, first.far.sock:
            return [first.suffer(0.0) for _ in range(20)]

    assert fates(7) == fates(7)
    assert set(fates(7)) == set(WEIGHTS)
    assert fates(7) != fates(8)
