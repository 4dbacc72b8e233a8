"""The live page of one worker shows all of them, and reaches into all of them."""

from __future__ import annotations

import contextlib

import pytest

from tests.monitoring.conftest import APPS, COOKIE, SOCKET, Watcher
from tests.support import servers
from tests.support.raw import RawClient
from tests.support.workers import one_on_each

ROOM = "/ws/room/everywhere"


@pytest.mark.deadline(90)
def test_all_workers_are_shown_and_reached(tmp_path):
    env = {
        "ADMIN_COOKIE": COOKIE,
        "TINA4_WS_METRICS_DIR": str(tmp_path / "numbers"),
        "TINA4_WS_DRAIN_TIMEOUT_S": "1",
        "TINA4_WS_BUS_DIR": str(tmp_path / "bus"),
    }
    with (
        servers.gunicorn("watched:app", APPS, tmp_path / "log", "-w", "2", env=env) as server,
        contextlib.ExitStack() as opened,
    ):
        servers.wait_until_answering(server)
        fields = [("Cookie", f"admin={COOKIE}"), ("Origin", server.url)]
        watcher = Watcher(opened.enter_context(RawClient.open(server.address, SOCKET, fields)))
        each = one_on_each(2, lambda: RawClient.open(server.address, f"{ROOM}?tell"), opened)
        others = [opened.enter_context(RawClient.open(server.address, ROOM)) for _ in range(20)]
        clients = [*each.values(), *others]

        now = watcher.next("now", lambda now: now["totals"]["connections"] == len(clients))
        watcher.order(do="watch", search="everywhere")
        searched = watcher.next("found")
        watcher.order(do="watch", path=ROOM)
        listed = watcher.next("found", lambda found: found["path"] == ROOM)
        watcher.order(do="kick", path=ROOM, code=4_001, reason="all of you")

        assert [(row["path"], row["connections"]) for row in now["paths"]] == [(ROOM, len(clients))]
        assert now["path_count"] == 1
        assert searched["count"] == listed["count"] == len(clients)
        assert [(row["path"], row["connections"]) for row in searched["paths"]] == [
            (ROOM, len(clients))
        ]
        assert len({row["id"] for row in listed["rows"]}) == min(100, len(clients))
        assert len({row["pid"] for row in listed["rows"]}) == 2
        assert now["backplane"]["siblings"] == 1
        assert watcher.next("kicked")["count"] == len(clients)
        assert {client.read_close() for client in clients} == {4_001}
