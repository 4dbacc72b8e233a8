"""The numbers of three gunicorn workers, whichever of them is asked, and what remains of one that
was killed.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.monitoring.numbers import Numbers
from tests.support import servers
from tests.support.raw import RawClient
from tests.support.workers import one_on_each, told_pid

APPS = Path(__file__).parent / "apps"
WAIT_S = 15.0
ROUTE = "/ws/room/{name}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[servers.Server]:
    env = {"TINA4_WS_METRICS_DIR": str(tmp_path / "numbers"), "TINA4_WS_DRAIN_TIMEOUT_S": "2"}
    with servers.gunicorn("counted:app", APPS, tmp_path / "log", "-w", "3", env=env) as running:
        wait_until_loaded(running, 3)
        yield running


def wait_until_loaded(server: servers.Server, times: int) -> None:
    """Wait for so many workers to be up: gunicorn waits half a minute for one that is stopped while
    it boots.
    """
    server.wait_for_log(r"(?s)" + "loaded by a worker.*" * times)


def get(server: servers.Server, path: str) -> tuple[int, str]:
    asker = http.client.HTTPConnection(*server.address, timeout=10)
    try:
        asker.request("GET", path)
        answer = asker.getresponse()
        return answer.status, answer.read().decode()
    finally:
        asker.close()


def wait_for(server: servers.Server, is_so: Callable[[Numbers], bool], what: str) -> Numbers:
    give_up_at = time.monotonic() + WAIT_S
    while True:
        told = Numbers(get(server, "/metrics")[1])
        if is_so(told):
            return told
        assert time.monotonic() < give_up_at, f"{what}; have {told.samples}"
        time.sleep(0.1)


def on_every_worker(
    server: servers.Server, opened: contextlib.ExitStack
) -> dict[int, list[RawClient]]:
    """Connect to each of the three workers, and twice more; give all clients by pid."""

    def connect() -> RawClient:
        return RawClient.open(server.address, "/ws/room/general")

    by_pid = {pid: [client] for pid, client in one_on_each(3, connect, opened).items()}
    for _ in range(2):
        client = opened.enter_context(connect())
        by_pid[told_pid(client)].append(client)
    return by_pid


def wait_until_written(folder: Path, pid: int, messages: int) -> None:
    """Wait until a worker has written that it got so many messages: what is younger is lost when it
    is killed.
    """
    give_up_at = time.monotonic() + WAIT_S
    while True:
        told = [
            json.loads(path.read_bytes())["sums"]["counters"]
            for path in folder.glob(f"{pid}-*.json")
        ]
        if told and told[0].get("messages_received") == {ROUTE: messages}:
            return
        assert time.monotonic() < give_up_at, told
        time.sleep(0.05)


@pytest.mark.deadline(90)
def test_any_worker_tells_the_numbers_of_all(server, tmp_path):
    with contextlib.ExitStack() as opened:
        by_pid = on_every_worker(server, opened)
        clients = [client for some in by_pid.values() for client in some]
        for client in clients:
            client.send_text("hello")
            client.read_text()
        for pid, some in by_pid.items():
            wait_until_written(tmp_path / "numbers", pid, len(some))

        for _ in range(6):  # whoever answers
            told = Numbers(get(server, "/metrics")[1])
            assert told("tina4_messages_received_total", route=ROUTE) == len(clients)
            assert told("tina4_connections", route=ROUTE) == len(clients)
            assert told("tina4_workers") == 3


@pytest.mark.deadline(90)
def test_a_killed_worker_leaves_its_counters_and_takes_its_gauges(server, tmp_path):
    with contextlib.ExitStack() as opened:
        by_pid = on_every_worker(server, opened)
        count = sum(map(len, by_pid.values()))
        for client in (client for some in by_pid.values() for client in some):
            client.send_text("hello")
            client.read_text()
        for pid, some in by_pid.items():
            wait_until_written(tmp_path / "numbers", pid, len(some))
        pid, lost = next(iter(by_pid.items()))

        os.kill(pid, signal.SIGKILL)

        told = wait_for(
            server, lambda told: told("tina4_connections") == count - len(lost), "the rest remains"
        )
        assert told("tina4_messages_received_total", route=ROUTE) == count
        assert told("tina4_connections_opened_total", route=ROUTE) == count
        wait_until_loaded(server, 4)


@pytest.mark.deadline(90)
def test_a_reloaded_server_goes_on_counting(server):
    with contextlib.ExitStack() as opened:
        count = sum(map(len, on_every_worker(server, opened).values()))
        server.process.send_signal(signal.SIGHUP)

        wait_until_loaded(server, 6)
        # 0 while one of them still drains; no sample at all once only the new ones are left.
        wait_for(server, lambda told: not told("tina4_connections"), "the old workers have gone")
        told = wait_for(
            server,
            lambda told: told("tina4_closes_total", code="1001") == count,
            "all were told to go",
        )
        assert told("tina4_connections_opened_total", route=ROUTE) == count


@pytest.mark.deadline(90)
def test_a_worker_that_stops_answers_503_on_a_connection_that_it_kept(tmp_path):
    env = {"TINA4_WS_METRICS_DIR": str(tmp_path / "numbers"), "TINA4_WS_DRAIN_TIMEOUT_S": "5"}
    with (
        servers.gunicorn("counted:app", APPS, tmp_path / "log", env=env) as server,
        RawClient.open(server.address, "/ws/room/general") as client,
        contextlib.closing(http.client.HTTPConnection(*server.address, timeout=10)) as asker,
    ):
        asker.request("GET", "/health")
        ready = asker.getresponse()
        ready.read()

        client.read_text()
        server.process.send_signal(signal.SIGTERM)
        assert client.read_close() == 1001  # and is not answered: it drains for as long as it may
        asker.request("GET", "/health")
        draining = asker.getresponse()
        body = draining.read()

    assert (ready.status, draining.status) == (200, 503)
    assert json.loads(body)["status"] == "draining"
