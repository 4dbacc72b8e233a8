"""What one process reports, when it tells the other workers, and what it logs if it can't."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from tina4_wsgi.backplane.contract import Status
from tina4_wsgi.config import Config
from tina4_wsgi.monitoring import monitor as monitor_module
from tina4_wsgi.monitoring.metrics import Sums
from tina4_wsgi.monitoring.monitor import Monitor
from tina4_wsgi.monitoring.worker_files import WorkerFiles
from tina4_wsgi.websocket.counters import Tally


class Engine(SimpleNamespace):
    """An engine with so many connections, none of which has done anything."""

    def __init__(self, count: int = 0) -> None:
        super().__init__(
            connections={connection: connection for connection in map(Connected, range(count))},
            dispatcher=SimpleNamespace(busy_count=0, waiting_count=0),
            slow_consumers=0,
            drops_for_slow=0,
            path_broadcasts=0,
            room_broadcasts=0,
            meter=None,
            on_end=None,
            on_sweep=None,
        )


class Connected(SimpleNamespace):
    """A connection, and the engine's side of it."""

    __hash__ = object.__hash__

    def __init__(self, number: int) -> None:
        super().__init__(
            id=str(number),
            closed=False,
            path="/chat",
            route="/chat",
            service=SimpleNamespace(path="/chat"),
            message_count=0,
            waiting_count=0,
            transport=SimpleNamespace(
                sent_messages=0,
                received_bytes=0,
                sent_bytes=0,
                queued_bytes=0,
                stalled_since_s=None,
            ),
        )
        self._lifecycle = self


def runtime(*engines: Engine) -> Any:
    return SimpleNamespace(
        engines=list(engines),
        is_draining=False,
        is_here=True,
        on_engine=None,
        on_drained=None,
        on_question=None,
        ask_others=lambda question: [],
        fanout=SimpleNamespace(reading=None),
        keeping_counts=[],
        history_error="",
    )


@pytest.fixture
def watch_over(tmp_path: Path) -> Iterator[Callable[..., Monitor]]:
    monitors: list[Monitor] = []

    def watch_over(
        process: Any = None,
        status: Status | None = None,
        refused: dict[int, int] | None = None,
        **options: bool,
    ) -> Monitor:
        monitors.append(
            Monitor(
                runtime() if process is None else process,
                Config(metrics_dir=str(tmp_path / "numbers")),
                tmp_path,
                lambda: [SimpleNamespace(path="/chat", tally=Tally())],
                {} if refused is None else refused,
                lambda: status,
                **options,
            )
        )
        return monitors[-1]

    yield watch_over
    for monitor in monitors:
        monitor.close()


@pytest.fixture
def neighbour(tmp_path: Path) -> Iterator[WorkerFiles]:
    """Another worker of the app."""
    files = WorkerFiles(str(tmp_path / "numbers"))
    yield files
    files.close()


def test_a_process_counts_itself_and_the_handshakes_that_it_refused(watch_over):
    sums = watch_over(refused={404: 2, 503: 1}).own()

    assert sums.counters["handshakes_refused"] == {"404": 2, "503": 1}
    assert (sums.gauges["workers"], sums.gauges["draining_workers"]) == ({"": 1}, {"": 0})
    assert sums.gauges["connections"] == {"/chat": 0}


def test_a_process_that_stops_says_so(watch_over):
    process = runtime()
    process.is_draining = True

    assert watch_over(process).own().gauges["draining_workers"] == {"": 1}


def test_the_state_of_the_backplane_is_told(watch_over):
    status = Status("redis", False, 3, 4, 5, 6)

    sums = watch_over(status=status).own()

    told = {name.removeprefix("backplane_"): values for name, values in sums.gauges.items()}
    assert told["up"] == {"redis": 0}
    assert (told["siblings"], told["queued_messages"]) == ({"redis": 3}, {"redis": 4})
    assert sums.counters["backplane_dropped_messages"] == {"redis": 5}
    assert sums.counters["backplane_outages"] == {"redis": 6}


@pytest.mark.parametrize("status", [None, Status("none", True)])
def test_without_a_backplane_nothing_of_it_is_told(watch_over, status):
    monitor = watch_over(status=status)

    assert monitor.backplane == status
    assert [name for name in monitor.own().gauges if "backplane" in name] == []


def test_workers_that_share_nothing_know_of_no_others(watch_over, tmp_path):
    monitor = watch_over()

    alive, past = monitor.others()
    monitor.join()

    assert (alive, past.as_dict()) == ([], Sums().as_dict())
    assert monitor.total().gauges["workers"] == {"": 1}
    assert not (tmp_path / "numbers").exists()


def test_the_total_is_of_all_workers(watch_over, neighbour):
    numbers = Sums()
    numbers.gauge("workers", 1)
    neighbour.write(numbers, {})

    assert watch_over(is_shared=True).total().gauges["workers"] == {"": 2}


def test_others_hear_of_a_worker_from_the_moment_it_joins(watch_over, neighbour):
    watch_over(is_shared=True).join()

    ((told,), _) = neighbour.others()
    assert told.sums.gauges["workers"] == {"": 1}
    assert list(told.about) == ["pid"]


def test_a_worker_with_a_live_page_tells_details_too(watch_over, neighbour):
    watch_over(is_shared=True, has_live=True).join()

    ((told,), _) = neighbour.others()
    assert sorted(told.about) == ["closes", "path_count", "paths", "pid", "slow"]


def test_one_that_has_left_leaves_its_counters(watch_over, neighbour):
    monitor = watch_over(refused={404: 2}, is_shared=True)
    monitor.join()
    monitor.close()

    alive, past = neighbour.others()
    assert (alive, past.counters["handshakes_refused"]) == ([], {"404": 2})


def test_what_is_in_the_way_is_logged_once_until_it_is_gone(watch_over, tmp_path, caplog):
    folder = tmp_path / "numbers"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    monitor = watch_over(is_shared=True)

    with caplog.at_level(logging.ERROR, "tina4_wsgi.metrics"):
        monitor.join()
        monitor.join()
        assert len(caplog.messages) == 1
        assert caplog.messages[0].startswith("the numbers of all workers can't be put together: ")

        folder.chmod(0o700)
        monitor.join()
        folder.chmod(0o777)
        (folder / monitor._files._name).with_suffix(".lock").unlink()
        monitor.join()

    assert len(caplog.messages) == 2


def test_an_error_of_ours_is_logged_and_ends_nothing(watch_over, caplog):
    monitor = watch_over(is_shared=True)
    monitor.own = lambda: 1 / 0

    monitor.join()

    assert caplog.messages == ["the live page's summary failed"]
    assert not monitor._is_telling


def test_a_worker_that_has_served_tells_its_last_numbers_when_it_stops(watch_over, neighbour):
    process = runtime(Engine())
    watch_over(process, is_shared=True)

    process.on_drained()

    ((told,), _) = neighbour.others()
    assert told.sums.gauges["workers"] == {"": 1}


def test_a_worker_that_never_served_tells_nothing_when_it_stops(watch_over, neighbour):
    process = runtime()
    watch_over(process, is_shared=True)

    process.on_drained()

    assert neighbour.others()[0] == []


@pytest.mark.parametrize(
    ("options", "hooks"),
    [
        ({}, (False, False)),
        ({"is_shared": True}, (False, True)),
        ({"has_live": True}, (True, True)),
    ],
)
def test_engines_are_hooked_into_only_where_that_is_needed(watch_over, options, hooks):
    process, engine = runtime(), Engine()
    watch_over(process, **options)

    process.on_engine(engine)

    assert (engine.on_end is not None, engine.on_sweep is not None) == hooks
    assert (process.on_question is not None) is options.get("has_live", False)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now_s=100.0)
    clock.monotonic = lambda: clock.now_s
    monkeypatch.setattr(monitor_module, "time", clock)
    return clock


class Watched:
    """A live page that somebody looks at, and when it was shown something."""

    def __init__(self, watch_over: Callable[..., Monitor], clock: Any, engine: Engine) -> None:
        process = runtime(engine)
        self.monitor = watch_over(process, has_live=True)
        process.on_engine(engine)
        self._sweep, self._clock = engine.on_sweep, clock
        self.shown: list[float] = []
        self.monitor.watch(lambda now, monitor: self.shown.append(clock.now_s))

    def sweep(self, after_s: float) -> bool:
        self._clock.now_s += after_s
        has_more: bool = self._sweep()
        gevent.sleep(0)
        gevent.sleep(0)
        return has_more


def test_a_page_is_shown_something_once_a_second(watch_over, clock):
    watched = Watched(watch_over, clock, Engine(1))

    assert [watched.sweep(after_s) for after_s in (0.0, 0.5, 0.5, 0.25, 0.75)] == [True] * 5

    assert watched.shown == [100.0, 101.0, 102.0]


def test_without_connections_it_is_shown_one_last_time(watch_over, clock):
    engine = Engine(1)
    watched = Watched(watch_over, clock, engine)
    watched.sweep(0.0)
    engine.connections.clear()

    assert (watched.sweep(1.0), watched.shown) == (False, [100.0, 101.0])


def test_the_end_of_the_connections_is_not_missed_between_two_seconds(watch_over, clock):
    engine = Engine(1)
    watched = Watched(watch_over, clock, engine)
    watched.sweep(0.0)
    engine.connections.clear()

    assert [watched.sweep(0.5), watched.sweep(0.5)] == [True, False]
    assert watched.shown == [100.0, 101.0]


def test_a_summary_that_is_still_being_made_is_not_made_twice(watch_over, clock):
    watched = Watched(watch_over, clock, Engine(1))
    watched.monitor._is_telling = True

    watched.sweep(5.0)

    assert watched.shown == []


def test_nothing_is_told_while_nobody_looks(watch_over, clock):
    watched = Watched(watch_over, clock, Engine(1))
    watched.monitor.feed.history.append({})

    watched.monitor.watch(None)

    assert (watched.sweep(5.0), watched.shown) == (False, [])
    assert list(watched.monitor.feed.history) == []


@pytest.mark.parametrize(("count", "interval_s"), [(1, 1.0), (6_000, 3.0), (60_000, 5.0)])
def test_with_many_connections_others_are_told_less_often(
    watch_over, clock, monkeypatch, count, interval_s
):
    process, engine = runtime(), Engine(count)
    monitor = watch_over(process, is_shared=True)
    process.on_engine(engine)
    told: list[float] = []
    monkeypatch.setattr(monitor, "_tell", lambda: told.append(clock.now_s))
    monitor._told_at_s = clock.now_s

    for after_s in (interval_s - 0.25, 0.25):
        clock.now_s += after_s
        assert engine.on_sweep()
        gevent.sleep(0)

    assert told == [100.0 + interval_s]


def test_connections_of_all_workers_are_found(watch_over):
    process = runtime()
    questions: list[Any] = []

    def ask_others(question: Any) -> list[Any]:
        questions.append(question)
        return [{"rows": [], "count": 3, "paths": [], "path_count": 0}]

    process.ask_others = ask_others

    found = watch_over(process, has_live=True).find("/chat", "anna")

    assert (found["type"], found["count"]) == ("found", 3)
    assert questions == [{"ask": "find", "path": "/chat", "text": "anna"}]
    assert process.on_question(questions[0]) == {
        "rows": [],
        "count": 0,
        "paths": [],
        "path_count": 0,
    }


def test_files_that_somebody_removed_are_written_again(watch_over, tmp_path):
    monitor = watch_over(is_shared=True)
    monitor.join()
    files = sorted((tmp_path / "numbers").glob(f"{monitor._files._name}.*"))
    assert len(files) == 2
    for file in files:
        file.unlink()

    monitor._check_folder()
    gevent.sleep(0)

    assert all(file.exists() for file in files)


def test_a_forked_child_leaves_the_files_of_its_parent_alone(watch_over, tmp_path):
    process = runtime()
    monitor = watch_over(process, is_shared=True)
    monitor.join()
    process.is_here = False
    for file in (tmp_path / "numbers").glob(f"{monitor._files._name}.*"):
        file.unlink()

    monitor._check_folder()
    gevent.sleep(0)

    assert not list((tmp_path / "numbers").glob(f"{monitor._files._name}.*"))


def test_an_idle_worker_shows_now_and_then_that_it_lives(watch_over, monkeypatch):
    monitor = watch_over(is_shared=True)
    monitor.join()
    touches: list[int] = []
    monkeypatch.setattr(monitor._files, "touch", lambda: touches.append(monitor._checks))

    for _ in range(40):
        monitor._check_folder()

    assert touches == [20, 40]
