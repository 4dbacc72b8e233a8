"""A server that is told to stop lets callbacks finish, says 1001 to everybody, and ends with 0."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support import servers
from tests.support.deadline import NEVER_S
from tests.support.raw import CLOSE, Frame, Head, RawClient
from tests.support.site import ANSWER_S, NATIVE_KINDS, Details, Site, asked, run_site

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


class Farewell(NamedTuple):
    """What there was to see of one SIGTERM; see `farewell`."""

    idle: list[Frame]
    busy: list[Frame]
    late: Head | None
    mute: list[Frame]
    exit_code: int
    lines: dict[str, list[Details]]
    log: str


def read_all(client: RawClient) -> list[Frame]:
    """Read frames to the end of the stream, answer a close frame, and hang up, as a browser
    does.
    """
    frames = []
    with contextlib.suppress(ConnectionError):
        while True:
            frames.append(client.read_frame())
            if frames[-1].opcode == CLOSE:
                client.send_close(1001)
    client.close()
    return frames


def start(site: Site, query: str) -> RawClient:
    return RawClient.open(site.address, f"/ws/ends/x?{query}")


@pytest.fixture(scope="module")
def farewell(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Farewell:
    """Stop a server with an idle client, one whose callback runs, one that never answers, and a
    late one.
    """
    env = {"TINA4_WS_DRAIN_TIMEOUT_S": str(NEVER_S), "TINA4_WS_CLOSE_TIMEOUT_S": "0.3"}
    with (
        run_site(kind, "main:app", tmp_path_factory.mktemp(f"stop-{kind}"), env=env) as site,
        start(site, "tag=idle") as idle,
        start(site, "tag=busy&message=outlast:idle") as busy,
        start(site, "tag=mute") as mute,
        RawClient.dial(site.address) as late,
    ):
        keep_alive(late)
        busy.send_text("work")
        assert busy.read_text() == "heard work"  # its callback is running now
        site.server.process.send_signal(signal.SIGTERM)
        idle_frames = read_all(idle)
        late_head = ask_late(late)
        busy_frames = read_all(busy)
        exit_code = site.server.process.wait(servers.STOP_S)
        lines = {tag: site.journal.lines(tag) for tag in ("idle", "busy", "mute")}
        mute_frames = read_all_without_answer(mute)
        return Farewell(
            idle_frames, busy_frames, late_head, mute_frames, exit_code, lines, site.server.log
        )


def keep_alive(client: RawClient) -> None:
    """Make one HTTP request on a connection that is kept."""
    client.send_bytes(b"GET /state HTTP/1.1\r\nHost: localhost\r\n\r\n")
    head = client.read_head()
    client.read_exactly(int(head.headers["content-length"]))


def ask_late(client: RawClient) -> Head | None:
    """Ask for an upgrade while the server stops; None when it has hung up."""
    try:
        return client.ask_upgrade("/ws/ends/x?tag=late", KEY)
    except ConnectionError:
        return None


def read_all_without_answer(client: RawClient) -> list[Frame]:
    frames = []
    with contextlib.suppress(ConnectionError):
        while True:
            frames.append(client.read_frame())
    return frames


def closes(farewell: Farewell, tag: str) -> list[tuple[int, str]]:
    return [
        (line["code"], line["reason"]) for line in farewell.lines[tag] if line["event"] == "close"
    ]


def codes(frames: list[Frame]) -> list[int]:
    return [frame.close_code for frame in frames if frame.opcode == CLOSE]


def test_sigterm_says_1001_to_an_idle_client(farewell: Farewell) -> None:
    assert codes(farewell.idle) == [1001]
    assert len(farewell.idle) == 1


def test_sigterm_runs_close_exactly_once_with_1001(farewell: Farewell) -> None:
    for tag in ("idle", "busy", "mute"):
        ((code, reason),) = closes(farewell, tag)
        assert code == 1001
        assert reason.startswith("going away; retry in ")


def test_a_callback_that_runs_at_sigterm_finishes_and_its_reply_comes_before_the_1001(
    farewell: Farewell,
) -> None:
    assert [frame.payload for frame in farewell.busy[:-1]] == [b"done at last"]
    assert codes(farewell.busy) == [1001]


def test_a_client_that_never_answers_hears_1001_too(farewell: Farewell) -> None:
    assert codes(farewell.mute) == [1001]


def test_an_upgrade_that_comes_while_the_server_stops_is_not_taken(farewell: Farewell) -> None:
    assert farewell.late is None or farewell.late.status == 503


def test_sigterm_ends_the_server_with_0_and_it_does_not_wait_for_the_drain_time(
    farewell: Farewell,
) -> None:
    """A server that waited for it would be there still; gunicorn would have cut it off after 30 s,
    and so would we.
    """
    assert farewell.exit_code == 0
    assert "cut off" not in farewell.log
    assert "graceful timeout" not in farewell.log


def test_stopping_leaves_no_traceback(farewell: Farewell) -> None:
    assert "Traceback" not in farewell.log


@pytest.mark.parametrize("stuck_kind", asked("own", "gunicorn", "sync", "gthread"))
def test_a_callback_that_never_ends_keeps_the_server_no_longer_than_the_drain_time(
    tmp_path: Path, stuck_kind: str
) -> None:
    env = {"TINA4_WS_DRAIN_TIMEOUT_S": "0.5"}
    with (
        run_site(stuck_kind, "main:app", tmp_path, env=env) as site,
        start(site, "tag=stuck&message=outlast:nobody") as stuck,
        start(site, "tag=idle") as idle,
    ):
        stuck.send_text("work")
        assert stuck.read_text() == "heard work"
        site.server.process.send_signal(signal.SIGTERM)

        assert codes(read_all(idle)) == [1001]
        assert site.server.process.wait(servers.STOP_S) == 0
        assert "drain: 1 connections cut off after 0.5 s" in site.server.log


def test_all_close_callbacks_are_done_before_the_worker_exits(
    kind: str, farewell: Farewell
) -> None:
    """Callbacks at interpreter exit, which are the second line, would be later.

    Workers without a hub have that line alone; gunicorn's master waits for it. Our own server says
    nothing when it ends.
    """
    end = "Shutting down: Master" if kind in NATIVE_KINDS else "Worker exiting"
    rest = len(farewell.log) if kind == "own" else farewell.log.index(end)

    for tag in ("idle", "busy", "mute"):
        assert farewell.log.index(f"closed {tag}") < rest


@pytest.mark.parametrize(
    ("gunicorn_kind", "how"),
    [
        pytest.param("gunicorn", signal.SIGINT, id="gunicorn-SIGINT"),
        pytest.param("preload", signal.SIGQUIT, id="preload-SIGQUIT"),
        pytest.param("sync", signal.SIGINT, id="sync-SIGINT"),
        pytest.param("gthread", signal.SIGQUIT, id="gthread-SIGQUIT"),
    ],
)
def test_a_quick_stop_of_gunicorn_says_1001_too(
    tmp_path: Path, gunicorn_kind: str, how: signal.Signals
) -> None:
    with run_site(gunicorn_kind, "main:app", tmp_path) as site, start(site, "tag=idle") as idle:
        site.server.process.send_signal(how)

        assert codes(read_all(idle)) == [1001]
        assert site.server.process.wait(servers.STOP_S) == 0
        assert site.journal.events("idle") == ["open", "close"]


@pytest.fixture(scope="module", params=asked("gunicorn", "preload", "sync", "gthread"))
def reloaded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """Send SIGHUP to gunicorn while a client is connected."""
    with run_site(
        request.param, "main:app", tmp_path_factory.mktemp(f"hup-{request.param}")
    ) as site:
        with start(site, "tag=old") as old:
            old_pid = site.state()["pid"]
            site.server.process.send_signal(signal.SIGHUP)
            frames = read_all(old)
            close = site.journal.wait_for("old", "close")
        site.wait_for_state(lambda state: state["pid"] != old_pid, ANSWER_S)
        with start(site, "tag=new") as new:
            new.send_text("a")
            yield {"frames": frames, "close": close, "answer": new.read_text()}


def test_sighup_says_1001_to_those_who_are_connected(reloaded: dict[str, Any]) -> None:
    assert codes(reloaded["frames"]) == [1001]
    assert reloaded["close"]["code"] == 1001


def test_after_sighup_new_clients_connect(reloaded: dict[str, Any]) -> None:
    assert reloaded["answer"] == "heard a"
