"""WebSockets in gunicorn workers that aren't patched: callbacks run in native threads, and one that
blocks holds up nobody else.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import servers
from tests.support.raw import PING, PONG, RawClient
from tests.support.servers import Server

APPS = Path(__file__).parent / "apps"
ANSWER_S = 10.0
MOST_THREADS = 4

WORKERS = {"sync": ("-k", "sync"), "gthread": ("-k", "gthread", "--threads", "3")}


@contextlib.contextmanager
def running(folder: Path, kind: str, *options: str, **env: str) -> Iterator[Server]:
    env = {"TINA4_WS_CALLBACK_THREADS": str(MOST_THREADS), **env}
    with servers.gunicorn(
        "threads_app:app",
        APPS,
        folder / "server.log",
        *WORKERS[kind],
        *options,
        env=env,
        python=(sys.executable,),  # with warnings gunicorn's sync worker names its own listener
    ) as server:
        yield server


@pytest.fixture(scope="module", params=WORKERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with running(tmp_path_factory.mktemp(request.param), request.param) as started:
        yield started


def get(server: Server, path: str) -> str:
    asking = http.client.HTTPConnection(*server.address, timeout=ANSWER_S)
    with contextlib.closing(asking):
        asking.request("GET", path, headers={"Connection": "close"})
        answer = asking.getresponse()
        assert answer.status == 200
        return answer.read().decode()


def told(client: RawClient) -> Any:
    client.send_text("tell")
    return json.loads(client.read_text())


def test_callbacks_run_in_threads_of_ours_in_an_unpatched_process(server: Server) -> None:
    with RawClient.open(server.address, "/ws/where") as client:
        facts = told(client)

    assert facts["thread"].startswith("tina4-callback-")
    assert not facts["is_patched"]


def test_no_event_sees_the_context_variables_of_another(server: Server) -> None:
    with RawClient.open(server.address, "/ws/where") as client:
        assert [told(client)["seen"] for _ in range(2 * MOST_THREADS)] == ["nothing"] * 8


def test_a_callback_that_blocks_holds_up_neither_others_nor_http(server: Server) -> None:
    with contextlib.ExitStack() as opened:
        blocked = [
            opened.enter_context(RawClient.open(server.address, "/ws/gate/first"))
            for _ in range(MOST_THREADS - 1)
        ]
        for client in blocked:
            client.send_text("one")
        other = opened.enter_context(RawClient.open(server.address, "/ws/echo"))

        other.send_text("hello")
        assert other.read_text() == "hello"
        assert get(server, "/open/first") == "open"

        for client in blocked:
            while (frame := client.read_frame()).opcode == PING:
                client.send_frame(PONG, frame.payload)
            assert frame.payload == b"one passed"


def test_pings_go_out_while_all_threads_are_taken_and_later_callbacks_wait(server: Server) -> None:
    with contextlib.ExitStack() as opened:
        blocked = [
            opened.enter_context(RawClient.open(server.address, "/ws/gate/second"))
            for _ in range(MOST_THREADS)
        ]
        for client in blocked:
            client.send_text("one")
        for client in blocked:
            assert client.read_frame().opcode == PING
            client.send_frame(PONG)
        late = opened.enter_context(RawClient.open(server.address, "/ws/echo"))
        late.send_text("waits")

        get(server, "/open/second")

        assert late.read_text() == "waits"


def test_callbacks_of_one_connection_run_one_at_a_time_and_what_they_say_keeps_its_order(
    server: Server,
) -> None:
    count = 50
    with RawClient.open(server.address, "/ws/order/one") as client:
        for number in range(count):
            client.send_text(str(number))
        heard = [client.read_text() for _ in range(2 * count)]

    assert heard == [word for n in range(count) for word in (str(n), f"all {n}")]
    assert json.loads(get(server, "/facts"))["most_at_once"]["one"] == 1


@pytest.mark.parametrize("path", ["/ws/loud", "/ws/rechecked"])
def test_a_client_that_reads_late_is_not_closed_for_what_it_says_to_its_own_room(
    server: Server, path: str
) -> None:
    texts = [f"{number} ".ljust(60_000) for number in range(130)]  # more than kernels keep
    wire = socket.socket()
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    wire.settimeout(ANSWER_S)
    wire.connect(server.address)
    with RawClient(wire) as client:
        client.upgrade(f"{path}/{path[4:]}")
        for text in texts:
            client.send_text(text)

        get(server, f"/open/{path[4:]}")

        assert [client.read_text() for _ in texts] == texts


def test_a_view_reaches_the_sockets(server: Server) -> None:
    with RawClient.open(server.address, "/ws/echo") as client:
        client.send_text("there")
        client.read_text()

        get(server, "/say/hello")

        assert client.read_text() == "hello"


def test_rooms_members_and_closing_work_from_these_threads(server: Server) -> None:
    with (
        RawClient.open(server.address, "/ws/rooms/a") as ada,
        RawClient.open(server.address, "/ws/rooms/a") as bob,
    ):
        assert (ada.read_text(), bob.read_text()) == ("a", "a")
        ada.send_text("members")
        assert ada.read_text() == "2"

        ada.send_text("hello")
        assert bob.read_text() == "hello"

        bob.send_text("closed")
        assert bob.read_close() == 4000

    give_up_at = time.monotonic() + ANSWER_S
    while 4000 not in json.loads(get(server, "/facts"))["closed"]:
        assert time.monotonic() < give_up_at


def test_idle_sockets_hold_none_of_the_servers_threads(server: Server) -> None:
    with contextlib.ExitStack() as opened:
        for _ in range(100):
            opened.enter_context(RawClient.open(server.address, "/ws/echo"))

        facts = json.loads(get(server, "/facts"))

    assert facts["echo"] == 100
    assert facts["threads"] <= MOST_THREADS + 6


@pytest.mark.parametrize("kind", WORKERS)
@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
def test_sigterm_says_1001_and_prints_nothing_else(
    tmp_path: Path, kind: str, preload: tuple[str, ...]
) -> None:
    with running(tmp_path, kind, *preload) as server:
        with RawClient.open(server.address, "/ws/echo") as client:
            client.send_text("hello")
            client.read_text()

            server.process.terminate()

            frame = client.read_frame()
            client.send_close(1001)
        server.process.wait(ANSWER_S)

    assert frame.close_code == 1001
    assert b"retry in" in frame.payload
    lines = [line for line in server.log.splitlines() if "[INFO]" not in line]
    assert lines == []


def test_workers_reach_each_others_sockets(tmp_path: Path) -> None:
    with running(tmp_path, "sync", "-w", "2") as server, contextlib.ExitStack() as opened:
        client = opened.enter_context(RawClient.open(server.address, "/ws/echo"))
        client.send_text("there")
        client.read_text()

        pids, give_up_at = set(), time.monotonic() + ANSWER_S
        while len(pids) < 2:
            facts = json.loads(get(server, "/facts"))
            assert facts["echo"] == 1
            pids.add(facts["pid"])
            assert time.monotonic() < give_up_at
