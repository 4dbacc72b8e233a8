"""What is kept, in numbers: of one process, of two workers, and on the live page."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest

from tests.monitoring.conftest import APPS, COOKIE, SOCKET, WAIT_S, Watcher, ask
from tests.monitoring.numbers import Numbers
from tests.support import servers
from tests.support.polling import poll_until
from tests.support.raw import RawClient
from tests.support.workers import one_on_each
from tina4_wsgi import App, Router
from tina4_wsgi.backplane.isolation import isolation
from tina4_wsgi.monitoring.metrics import Sums
from tina4_wsgi.testing import TestClient

FIELDS = [("Cookie", f"admin={COOKIE}")]


def talk(connection, event, data):
    if event == "message":
        connection.broadcast(data, once=data if data.startswith("once") else None)


def app_with(**settings: object) -> App:
    router = Router()
    router.websocket("/ws/kept/{name}", talk, history=3)
    return App(router=router, health="/health", **settings)


def counted(sums: Sums) -> dict[str, float]:
    """The counters of history by name."""
    return {
        name.removeprefix("history_"): values[""]
        for name, values in sums.counters.items()
        if name.startswith("history_")
    }


def test_a_process_that_keeps_nothing_has_no_number_of_it():
    router = Router()
    router.websocket("/ws/plain", talk)
    app = App(router=router, health="/health")
    with TestClient(app) as client, client.websocket("/ws/plain") as ws:
        ws.send("hi")
        sums = app.monitor().own()

        assert counted(sums) == {}
        assert "history_up" not in sums.gauges
        assert sums.highest == {}
        assert "history" not in client.get("/health").json


def test_each_thing_that_is_done_for_history_is_counted():
    app = app_with()
    with TestClient(app) as client, client.websocket("/ws/kept/a", since="") as ws:
        ws.send("once")
        ws.send("once")
        ws.cut()
        app.broadcast("/ws/kept/a", "missed")
        with client.websocket("/ws/kept/a", since=ws.position), client.websocket("/ws/kept/a"):
            pass
        with client.websocket("/ws/kept/a", since="-"):
            sums = app.monitor().own()

    assert counted(sums) == {
        "failures": 0,
        "kept": 2,
        "unkept": 0,
        "repeated": 1,
        "newcomers": 1,
        "resumes": 1,
        "gaps": 1,
        "replayed": 1,
    }
    assert sums.gauges["history_up"] == {"": 1}
    assert sums.highest["history_bytes"][""] > 0
    latest, longest = (
        sums.highest[f"history_{name}_seconds"][""] for name in ("latest", "longest")
    )
    assert 0 < latest <= longest < WAIT_S


def test_what_is_kept_before_anybody_comes_is_counted_too():
    app = app_with()
    with TestClient(app):
        app.broadcast("/ws/kept/a", "hi")
        app.broadcast("/ws/kept/a", "hi", once="k")
        app.broadcast("/ws/kept/a", "hi", once="k")
        found = counted(app.monitor().own())

    assert (found["kept"], found["repeated"]) == (2, 1)


def test_a_file_that_can_not_be_used_is_told(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(isolation, "is_on", False)
    (tmp_path / "kept").write_text("no folder")
    app = app_with(history_dir=str(tmp_path / "kept"), root=tmp_path)
    try:
        app.broadcast("/ws/kept/a", "lost")
        app.broadcast("/ws/kept/a", "lost, too")
        sums, status = app.monitor().own(), app.backplane_status()

        assert (counted(sums)["unkept"], counted(sums)["failures"]) == (2, 1)
        assert sums.gauges["history_up"] == {"": 0}
        assert status.history_error.startswith(f"history folder {tmp_path}/kept is no directory")
        assert [one.getMessage() for one in caplog.records if "history" in one.name] == [
            f"messages can't be kept at present: {status.history_error}"
        ]

        (tmp_path / "kept").unlink()
        app.broadcast("/ws/kept/a", "kept")

        assert app.backplane_status().history_error == ""
        assert app.monitor().own().gauges["history_up"] == {"": 1}
    finally:
        app.drain(0)


@pytest.fixture
def kept_dir(tmp_path: Path) -> Path:
    """Where the workers keep what is said."""
    return tmp_path / "kept"


@pytest.fixture
def server(tmp_path: Path, kept_dir: Path) -> Iterator[servers.Server]:
    """Two workers with one history."""
    env = {
        "ADMIN_COOKIE": COOKIE,
        "TINA4_WS_METRICS_DIR": str(tmp_path / "numbers"),
        "TINA4_WS_HISTORY_DIR": str(kept_dir),
        "TINA4_WS_DRAIN_TIMEOUT_S": "1",
    }
    with servers.gunicorn("keeping:app", APPS, tmp_path / "log", "-w", "2", env=env) as running:
        servers.wait_until_answering(running)
        yield running


def put_file_at(folder: Path) -> None:
    """Replace a folder by a file, so that nothing can be kept there."""
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(IsADirectoryError):  # a worker made it again meanwhile
            folder.write_text("no folder")
            return


def clients_on_each(server: servers.Server, opened: contextlib.ExitStack) -> Collection[RawClient]:
    """Connect a client to each of the two workers."""
    return one_on_each(2, lambda: RawClient.open(server.address, "/ws/kept/a"), opened).values()


def wait_for(server: servers.Server, is_so: Callable[[Numbers], bool]) -> Numbers:
    asked: list[Numbers] = []

    def is_told() -> bool:
        asked.append(Numbers(ask(server, "/metrics")[2]))
        return is_so(asked[-1])

    poll_until(is_told, lambda: asked[-1].samples)
    return asked[-1]


def test_workers_add_their_numbers_up_but_their_file_is_one(server):
    with contextlib.ExitStack() as opened:
        one, other = clients_on_each(server, opened)
        one.send_text("from one")
        other.send_text("from another")
        told = wait_for(server, lambda told: told("tina4_history_kept_total") == 2)
        one_size = wait_for(server, lambda told: told("tina4_history_up") == 2)

    size = told("tina4_history_bytes")
    assert 0 < size == one_size("tina4_history_bytes") < 100_000
    assert told("tina4_history_unkept_total") == 0
    assert 0 < told("tina4_history_latest_seconds") < WAIT_S


def test_the_live_page_is_told_of_each_worker_and_why_one_can_not_keep(server, kept_dir):
    with contextlib.ExitStack() as opened:
        origin = [*FIELDS, ("Origin", server.url)]
        watcher = Watcher(opened.enter_context(RawClient.open(server.address, SOCKET, origin)))
        client = opened.enter_context(RawClient.open(server.address, "/ws/kept/a"))
        pid = int(client.read_text())
        client.send_text("hi")
        kept = watcher.next("now", lambda now: now["history"]["kept"] == 1)
        of_worker = [one["history"] for one in kept["workers"] if one["pid"] == pid]

        put_file_at(kept_dir)
        client.send_text("lost")
        broken = watcher.next(
            "now", lambda now: any(one["history"]["error"] for one in now["workers"])
        )

    assert of_worker[0]["kept"] == 1
    assert of_worker[0]["error"] == ""
    assert kept["history"]["is_up"]
    errors = [one["history"]["error"] for one in broken["workers"] if one["history"]["error"]]
    assert errors[0].startswith(f"history folder {kept_dir} is no directory")


def test_the_health_page_says_whether_history_is_kept_and_nothing_of_the_folder(server, kept_dir):
    assert json.loads(ask(server, "/health")[2])["history"] == {"is_up": True}
    put_file_at(kept_dir)
    with contextlib.ExitStack() as opened:
        for client in clients_on_each(server, opened):
            client.send_text("lost")
            client.read_text()

        status, _, text = ask(server, "/health")

    assert (status, json.loads(text)["history"]) == (200, {"is_up": False})
    assert str(kept_dir) not in text
