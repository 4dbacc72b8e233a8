"""Several processes of one app, and clients spread over all of them."""

from __future__ import annotations

import base64
import http.client
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import servers
from tests.support.crowd import Crowd, Member
from tests.support.raw import RawClient, request_head
from tests.support.servers import Server
from tests.support.workers import BOOT_S
from tina4_wsgi.backplane.isolation import isolation

APPS = Path(__file__).parent / "apps"
WAIT_S = 15.0
POLL_S = 0.01


@pytest.fixture(autouse=True)
def reaches_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what a TestClient of an earlier test in this process has turned on."""
    monkeypatch.setattr(isolation, "is_on", False)


def environment(**settings: object) -> dict[str, str]:
    """Variables for a server with these settings."""
    variables = {f"TINA4_WS_{name.upper()}": str(value) for name, value in settings.items()}
    return {"PYTHONPATH": str(servers.ROOT), **variables}


def ask(server: Server, path: str) -> Any:
    """Ask one worker, whichever it is, over HTTP."""
    connection = http.client.HTTPConnection(*server.address, timeout=WAIT_S)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def wait_for(is_done: Callable[[], Any], what: str, timeout_s: float = WAIT_S) -> Any:
    """Look again and again until it is true, and give it."""
    give_up_at = time.monotonic() + timeout_s
    while not (found := is_done()):
        assert time.monotonic() < give_up_at, f"{what}: not within {timeout_s:g} s"
        time.sleep(POLL_S)
    return found


def settle(crowd: Crowd, server: Server, path: str) -> Member:
    """Let one client in where there is room: a worker that is full refuses with 503."""
    give_up_at = time.monotonic() + BOOT_S
    while True:
        client = RawClient.dial(server.address)
        key = base64.b64encode(os.urandom(16)).decode()
        try:
            client.send_bytes(request_head(path, f"{server.address[0]}:{server.address[1]}", key))
            status = client.read_head().status
        except OSError:
            status = 0  # of a worker that just ended
        if status == 101:
            return crowd.adopt(client.socket, path, bytes(client._received))
        client.close()
        assert status in (0, 503), status
        assert time.monotonic() < give_up_at, f"no room on {path}"
        time.sleep(POLL_S)


def spread(crowd: Crowd, server: Server, path: str, count: int) -> list[Member]:
    """Let `count` clients in, and have each say which worker it has: its name becomes that pid."""
    members = [settle(crowd, server, path) for _ in range(count)]
    for member in members:
        member.send_text("pid")
    crowd.listen_until(lambda: all(member.texts for member in members), "everybody's worker")
    for member in members:
        member.name = member.texts[0].removeprefix("pid ")
        member.frames.clear()
    return members


def by_worker(members: list[Member]) -> dict[str, list[Member]]:
    """Group clients by their worker."""
    groups = defaultdict(list)
    for member in members:
        groups[member.name].append(member)
    return dict(groups)


def check_exchange(crowd: Crowd, members: list[Member], senders: list[Member], count: int) -> None:
    """Have each sender say `count` things, and see that everybody gets each once and in each
    sender's order.
    """
    for member in members:
        member.frames.clear()
    for number in range(count):
        for index, sender in enumerate(senders):
            sender.send_text(f"{index}:{number}")
    total = count * len(senders)
    crowd.listen_until(
        lambda: all(len(member.frames) >= total for member in members), "every message", 20
    )
    for member in members:
        for index in range(len(senders)):
            heard = [text for text in member.texts if text.startswith(f"{index}:")]
            assert heard == [f"{index}:{number}" for number in range(count)]
        assert len(member.texts) == total


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Four workers with room for ten clients each, and nothing configured that has to do with other
    processes.
    """
    log_path = tmp_path_factory.mktemp("hall") / "server.log"
    env = environment(max_connections=10)
    with servers.gunicorn(
        "hall:app", APPS, log_path, "-w", "4", "--graceful-timeout", "10", env=env
    ) as server:
        yield server
        server.end()


def check_nothing_is_doubled(crowd: Crowd, server: Server) -> None:
    """What a thread of `pair` says to all apps comes once, here and in the other worker."""
    members = spread(crowd, server, "/ws/hall/a", 2)
    members[0].send_text("shout once")
    crowd.listen_until(lambda: all(one.texts for one in members), "the shout")
    for one in members:
        one.send_text("last")
    crowd.listen_until(
        lambda: all(one.texts.count("last") == 2 for one in members), "the last words"
    )
    assert [one.texts for one in members] == [["once", "last", "last"]] * 2
