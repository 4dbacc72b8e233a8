"""gunicorn's workers without a hub: what `make hosts` doesn't try of them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hosts.checks import say_goodbye
from tests.support import servers
from tests.support.raw import RawClient, client_frame
from tests.support.site import NATIVE_KINDS, OPTIONS_OF_KIND

APPS = Path(__file__).with_name("apps")
TIMEOUT_S = 2
NO_NOISE = re.compile(r"\[[^]]+\] \[\d+\] \[INFO\] |127\.0\.0\.1 - - |.* WARNING .* tina4_wsgi\.")
"""gunicorn's own lines on its start and its end, its access log, and what we say of a client."""


@contextlib.contextmanager
def start(kind: str, folder: Path, *options: str) -> Iterator[servers.Server]:
    options = ("-w", "1", *OPTIONS_OF_KIND.get(kind, ()), *options)
    env = {"PYTHONPATH": str(servers.ROOT)}
    with servers.gunicorn(
        "native:app",
        APPS,
        folder / "log",
        *options,
        worker_class=kind,
        env=env,
        python=(sys.executable,),  # a sync worker leaves its listener open, which would be an error
    ) as server:
        yield server


def ask(server: servers.Server, path: str) -> bytes:
    with RawClient.dial(server.address) as client:
        client.send_bytes(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        head = client.read_head()
        return client.read_exactly(int(head.headers["content-length"]))


@pytest.mark.parametrize("kind", NATIVE_KINDS)
def test_a_callback_may_block_for_longer_than_the_workers_timeout(kind, tmp_path):
    with (
        start(kind, tmp_path, "--timeout", str(TIMEOUT_S)) as server,
        RawClient.open(server.address, "/ws/calls") as client,
    ):
        pid = ask(server, "/pid")
        client.send_text(f"block {TIMEOUT_S + 1.5}")

        assert client.read_text() == "blocked"
        assert ask(server, "/pid") == pid
        assert "WORKER TIMEOUT" not in server.log


def test_a_view_that_blocks_too_long_costs_the_worker_and_clients_hear_1001(tmp_path):
    """Under `sync` a view holds the thread that has to report to the master."""
    with (
        start("sync", tmp_path, "--timeout", str(TIMEOUT_S)) as server,
        RawClient.open(server.address, "/ws/calls") as client,
    ):
        with RawClient.dial(server.address) as stuck:
            stuck.send_bytes(b"GET /block HTTP/1.1\r\nHost: a\r\n\r\n")
            stuck.read_to_end()

        assert say_goodbye(client, is_first=False) == 1001
        server.wait_for_log("WORKER TIMEOUT")
        with RawClient.open(server.address, "/ws/calls") as again:
            again.send_text("block 0")
            assert again.read_text() == "blocked"


@pytest.mark.parametrize("kind", NATIVE_KINDS)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_each_way_to_stop_says_1001_and_leaves_nothing_in_the_log(kind, how, tmp_path):
    with (
        start(kind, tmp_path, "--access-logfile", "-") as server,
        RawClient.open(server.address, "/ws/calls") as client,
    ):
        client.send_text("block 0")
        assert client.read_text() == "blocked"
        server.process.send_signal(how)

        assert say_goodbye(client, is_first=False) == 1001
        assert server.process.wait(servers.STOP_S) == 0
        assert noise_of(server) == []


@pytest.mark.parametrize("kind", NATIVE_KINDS)
@pytest.mark.parametrize("end", ["close frame", "reset", "bad frame", "half a handshake"])
def test_whatever_a_client_does_the_server_prints_no_more_than_for_any_application(
    kind, end, tmp_path
):
    with start(kind, tmp_path, "--access-logfile", "-", "--log-level", "info") as server:
        if end == "half a handshake":
            with RawClient.dial(server.address) as client:
                client.send_bytes(b"GET /ws/calls HTTP/1.1\r\nHost: a\r\nUpgr")
                client.reset()
        else:
            with RawClient.open(server.address, "/ws/calls") as client:
                if end == "close frame":
                    say_goodbye(client)
                elif end == "reset":
                    client.reset()
                else:
                    client.send_bytes(client_frame(7, b""))
                    assert say_goodbye(client, is_first=False) == 1002
        ask(server, "/pid")
        server.stop()

        assert noise_of(server) == []


@pytest.mark.parametrize("kind", NATIVE_KINDS)
def test_each_of_many_sockets_holds_no_thread_of_the_worker(kind, tmp_path):
    with start(kind, tmp_path) as server, contextlib.ExitStack() as opened:
        clients = [
            opened.enter_context(RawClient.open(server.address, "/ws/calls")) for _ in range(40)
        ]
        for client in clients:
            client.send_text("block 0")

        assert [client.read_text() for client in clients] == ["blocked"] * 40
        assert int(ask(server, "/pid")) != os.getpid()


@pytest.mark.parametrize("kind", NATIVE_KINDS)
def test_paths_that_gevent_websocket_would_serve_are_answered_501(kind, tmp_path):
    with start(kind, tmp_path) as server, RawClient.dial(server.address) as client:
        head = client.ask_upgrade("/old", "dGhlIHNhbXBsZSBub25jZQ==")

        body = client.read_exactly(int(head.headers["content-length"])).decode()
        assert head.status == 501
        assert "`gunicorn -k gevent`" in body


def noise_of(server: servers.Server) -> list[str]:
    """Give the lines that gunicorn doesn't print by itself."""
    return [line for line in server.log.splitlines() if not NO_NOISE.match(line)]
