"""The running side of an app: an engine for each hub, a drain for all of them, and forks."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from tests.support.engine_house import House, Log, in_thread, quiet, wait_until
from tests.support.raw import TEXT, client_frame
from tina4_wsgi.backplane.envelope import Kind
from tina4_wsgi.config import Config
from tina4_wsgi.engine import runtime as module
from tina4_wsgi.engine.engine import Engine
from tina4_wsgi.engine.runtime import Runtime, fork_count
from tina4_wsgi.errors import ForkError
from tina4_wsgi.routing.names import GroupKind


def in_child(function: Callable[[], object]) -> Any:
    """Give what `function` gives, as JSON shows it, in a forked child."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(write_end, json.dumps(function()).encode())
        except BaseException as exc:  # noqa: BLE001
            os.write(write_end, json.dumps(f"{type(exc).__name__}: {exc}").encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(said)


class Wire:
    """Stands for the relay; writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def start(self) -> None:
        self.told.append("start")

    def enter(self, *name: object) -> None: ...

    def leave(self, *name: object) -> None: ...

    def ask(self, question: dict[str, Any]) -> list[dict[str, Any]]:
        self.told.append(question)
        return [{"count": 5}]

    def retire(self, within_s: float) -> None:
        self.told.append(("retire", within_s))

    def close(self) -> None:
        self.told.append("close")


@pytest.fixture
def wired(house: House) -> Iterator[tuple[House, Wire]]:
    wire = Wire()
    house.process.fanout.relay = wire  # type: ignore[assignment]
    yield house, wire
    house.process.fanout.relay = None


# Engines


def test_a_hub_gets_one_engine_when_it_asks_and_who_wants_to_know_is_told(house: House) -> None:
    made: list[Engine] = []
    house.process.on_engine = made.append
    assert house.process.engines == []

    engine = house.process.engine()

    assert (house.process.engine(), made, house.process.engines) == (engine, [engine], [engine])


def test_each_engine_that_is_asked_for_starts_the_relay(wired: tuple[House, Wire]) -> None:
    house, wire = wired

    house.process.engine()
    house.process.engine()

    assert wire.told == ["start", "start"]


def test_an_engine_whose_thread_has_ended_is_replaced(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = house.engine
    monkeypatch.setattr(type(old), "is_alive", False)

    young = house.engine
    monkeypatch.undo()
    house.process.fanout.broadcast(GroupKind.PATH, "/ws/test", b"")

    assert young is not old
    assert house.process.engines == [young]
    assert (old.path_broadcasts, young.path_broadcasts) == (0, 1)
    old.close()


def test_connections_are_counted_over_all_engines(house: House) -> None:
    for _ in range(2):
        house.connect(quiet)
    house.process._engines[0] = house.engine

    assert house.process.connection_count == 4
    assert house.process.count_here(Kind.PATH, "/ws/test") == 4
    del house.process._engines[0]


def test_an_engine_is_released_when_it_has_no_connections(house: House) -> None:
    house.process.release()
    client, _ = house.connect(quiet)
    house.process.release()
    assert len(house.process.engines) == 1

    client.send_close()
    wait_until(lambda: not house.process.connection_count)
    engine = house.engine
    house.process.release()
    house.process.fanout.broadcast(GroupKind.PATH, "/ws/test", b"")

    assert house.process.engines == []
    assert engine.path_broadcasts == 0


def test_the_environment_is_looked_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[tuple[Config, bool]] = []
    monkeypatch.setattr(module.checks, "log_at_boot", lambda *seen: looked.append(seen))

    house.process.look_around()
    house.process.look_around()

    assert looked == [(house.config, False)]


# For other processes


@pytest.mark.parametrize(("kind", "name"), [(Kind.PATH, "/ws/test"), (Kind.ROOM, "lobby")])
def test_what_another_process_broadcasts_is_delivered_here(
    house: House, kind: Kind, name: str
) -> None:
    client, connection = house.connect(quiet)
    connection.join("lobby")

    house.process.deliver(kind, name, b"\x81\x02hi")

    assert client.read_text() == "hi"
    assert house.process.count_here(kind, name) == 1


def test_a_question_of_presence_is_answered_and_others_by_who_asked_for_them(house: House) -> None:
    asked: list[Any] = []

    def say(question: dict[str, Any]) -> dict[str, Any]:
        asked.append(question)
        return {"weather": "fine"}

    assert house.process.answer({"ask": "weather"}) == {}
    house.process.on_question = say
    house.connect(quiet)

    assert house.process.answer({"ask": "weather"}) == {"weather": "fine"}
    assert house.process.answer({"ask": "count", "path": "/ws/test"}) == {"count": 1}
    assert asked == [{"ask": "weather"}]


def test_all_are_asked_this_process_first(wired: tuple[House, Wire]) -> None:
    house, wire = wired
    house.connect(quiet)
    question = {"ask": "count", "path": "/ws/test"}

    assert house.process.ask_all(question) == [{"count": 1}, {"count": 5}]
    assert wire.told[-1] == question


def test_without_others_nobody_else_is_asked(house: House) -> None:
    assert house.process.ask_others({"ask": "count", "path": "/ws/test"}) == []


# The end


def test_all_connections_are_dismissed_with_code_and_reason(house: House) -> None:
    client, _ = house.connect(quiet)
    gevent.sleep(0)

    house.process.dismiss(4_000, "go")

    frame = client.read_frame()
    assert (frame.close_code, frame.payload[2:]) == (4_000, b"go")


def test_another_hubs_connections_are_dismissed_from_here(house: House) -> None:
    client, _ = house.connect(quiet)
    gevent.sleep(0)

    in_thread(lambda: house.process.dismiss(4_000, "go"))

    assert client.read_close() == 4_000


def test_a_drain_tells_who_wants_to_know_when_it_begins_and_ends(
    wired: tuple[House, Wire],
) -> None:
    house, wire = wired
    told: list[Any] = []
    house.process.on_draining = lambda: told.append(("begins", list(wire.told)))
    house.process.on_drained = lambda: told.append(("ends", list(wire.told)))
    assert not house.process.is_draining

    house.process.drain(1.0)

    assert house.process.is_draining
    assert told == [("begins", []), ("ends", [("retire", 1.0)])]


@pytest.mark.parametrize(
    ("hurry", "spread_s"), [({}, 3.0), ({"is_hurried": False}, 3.0), ({"is_hurried": True}, 0.0)]
)
def test_a_drain_in_a_hurry_has_no_spread(
    make_house: Any, monkeypatch: pytest.MonkeyPatch, hurry: dict[str, bool], spread_s: float
) -> None:
    house, asked = make_house(drain_spread_s=3.0), []
    engine = house.engine
    monkeypatch.setattr(
        engine, "drain", lambda timeout_s, spread_s: asked.append((timeout_s, spread_s))
    )

    house.process.drain(4.0, **hurry)
    monkeypatch.undo()

    assert asked == [(4.0, spread_s)]


def test_another_threads_hub_gets_two_seconds_beyond_the_drain(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def begin(*what: object) -> str:
        asked.append(what[1:])
        return "call"

    other: Any = SimpleNamespace(is_alive=True, mailbox=SimpleNamespace(begin=begin), drain=None)
    house.process._engines[0] = other
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: 100.0))
    monkeypatch.setattr(module, "_wait_for", lambda *what: asked.append(what))

    house.process.drain(4.0)
    del house.process._engines[0]

    assert asked == [(4.0, 5.0), (other, "call", 106.0)]


@pytest.mark.parametrize(
    ("done_s", "dead_s", "give_up_at_s", "waited_s", "is_told"),
    [
        (0.0, 9.0, 1.0, 0.0, False),
        (0.05, 9.0, 1.0, 0.05, False),
        (9.0, 0.03, 1.0, 0.03, False),
        (9.0, 9.0, 1.0, 1.0, True),
        (9.0, 9.0, 0.0, 0.0, True),
        (0.0, 9.0, 0.0, 0.0, False),
    ],
)
def test_another_threads_drain_is_looked_at_a_hundred_times_a_second_until_it_is_over(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    done_s: float,
    dead_s: float,
    give_up_at_s: float,
    waited_s: float,
    is_told: bool,
) -> None:
    naps_s: list[float] = []

    class Other:
        """Stands for the engine and for the call in its hub."""

        connections = (1, 2)
        is_alive = property(lambda self: sum(naps_s) < dead_s)
        is_done = property(lambda self: sum(naps_s) >= done_s)

        def wait(self) -> None:
            assert self.is_done

    monkeypatch.setattr(module, "gevent", SimpleNamespace(sleep=naps_s.append))
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: sum(naps_s)))
    other: Any = Other()

    module._wait_for(other, other, give_up_at_s)

    assert set(naps_s) <= {0.01}
    assert sum(naps_s) == pytest.approx(waited_s, abs=0.011 if waited_s else 0.0)
    assert [record.getMessage() for record in caplog.records] == (
        ["2 connections of another thread were left, since its hub stands still"] if is_told else []
    )


def test_a_thread_that_has_ended_is_not_waited_for(house: House) -> None:
    house.process._engines[0] = SimpleNamespace(is_alive=False)  # type: ignore[assignment]

    house.process.drain(4.0)
    house.process.dismiss(1001, "")

    del house.process._engines[0]


def test_a_drain_of_another_thread_that_fails_is_logged(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(timeout_s: float, spread_s: float) -> None:
        raise LookupError("a mistake of ours")

    monkeypatch.setattr(house.engine, "drain", fail)

    in_thread(lambda: house.process.drain(1.0))
    monkeypatch.undo()

    assert [record.getMessage() for record in caplog.records if record.exc_info] == [
        "the drain of another thread's connections failed"
    ]


def test_closing_closes_the_engines_and_the_relay(wired: tuple[House, Wire]) -> None:
    house, wire = wired
    engine = house.engine

    house.process.close()

    assert (house.process.engines, wire.told) == ([], ["start", "close"])
    house.process.fanout.broadcast_here(GroupKind.PATH, "/ws/test", b"")
    assert engine.path_broadcasts == 0


def test_closing_takes_the_guard_of_the_stop_off(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard, dismissed = house.process.stop_guard, []
    monkeypatch.setattr(guard, "dismiss", lambda: dismissed.append(guard))

    house.process.close()
    monkeypatch.undo()

    assert dismissed == [guard]


def test_another_threads_engine_is_closed_in_its_hub_and_a_dead_ones_from_here(
    house: House,
) -> None:
    told: list[str] = []

    def engine(is_alive: bool) -> Any:
        mailbox = SimpleNamespace(post=lambda function: told.append(f"posted {function()}"))
        return SimpleNamespace(is_alive=is_alive, mailbox=mailbox, close=lambda: "close")

    house.process._engines[0] = engine(is_alive=True)
    dead = house.process._engines[1] = engine(is_alive=False)
    dead.close = lambda: told.append("closed")  # type: ignore[method-assign]

    house.process.close()

    assert (told, house.process.engines) == (["posted close", "closed"], [])


# Forks


def test_a_child_knows_that_it_is_one_and_its_parent_stays_what_it_was(house: House) -> None:
    before = fork_count()
    assert house.process.is_here

    assert in_child(lambda: [fork_count() - before, house.process.is_here]) == [1, False]

    assert house.process.is_here
    assert fork_count() == before


def test_a_child_of_a_parent_with_connections_serves_nobody(house: House, tmp_path: Path) -> None:
    client, _ = house.connect(quiet)
    config = Config(backplane="local")

    def serve() -> None:
        Runtime(config, house.process, str(tmp_path)).engine()

    def ask() -> None:
        Runtime(config, house.process, str(tmp_path)).ask_others({"ask": "count", "path": "/"})

    assert "fork before the first one" in in_child(serve)
    assert "can't ask who is there" in in_child(ask)
    client.send_close()
    assert client.read_close() == 1000


@pytest.mark.parametrize(("backplane", "has_root"), [("none", True), ("local", False)])
def test_a_child_without_a_way_to_others_is_refused(
    house: House, tmp_path: Path, backplane: str, has_root: bool
) -> None:
    house.connect(quiet)
    root = str(tmp_path) if has_root else None

    said = in_child(lambda: bool(Runtime(Config(backplane=backplane), house.process, root)))

    assert said.startswith("ForkError: ")
    assert "without a backplane it reaches none of their clients" in said


def test_a_child_whose_parent_has_nobody_serves(house: House) -> None:
    house.engine  # noqa: B018

    def serve() -> int:
        child = Runtime(Config(), house.process)
        return len(child.engine().connections) + len(child.engines)

    assert in_child(serve) == 1


CALLS: dict[str, Callable[[Any], object]] = {
    "send": lambda connection: connection.send("from the child"),
    "join": lambda connection: connection.join("lobby"),
    "leave": lambda connection: connection.leave("lobby"),
    "members": lambda connection: connection.members(),
    "close": lambda connection: connection.close(),
    "refresh_auth": lambda connection: connection.refresh_auth(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_in_a_child_the_old_connections_are_the_parents(
    house: House, call: Callable[[Any], object]
) -> None:
    client, connection = house.connect(quiet, auth=lambda request: "ada")
    gevent.sleep(0)

    said = in_child(lambda: call(connection))
    assert said.startswith("ForkError: ")
    assert "and this one is its parent's" in said
    connection.send("from the parent")

    assert client.read_text() == "from the parent"


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_in_a_child_that_a_native_thread_forked_they_are_too(
    house: House, call: Callable[[Any], object]
) -> None:
    _, connection = house.connect(quiet, auth=lambda request: "ada")
    gevent.sleep(0)
    said: list[str] = []

    in_thread(lambda: said.append(in_child(lambda: call(connection))))

    assert said[0].startswith("ForkError: ")
    assert "and this one is its parent's" in said[0]


def test_in_a_child_no_callback_of_the_parents_connections_runs(house: House, log: Log) -> None:
    _, connection = house.connect(log, early=client_frame(TEXT, b"early"))

    def work() -> list[object]:
        connection._lifecycle.work()
        connection._lifecycle.work()
        return [log, connection._lifecycle.message_count, connection.closed]

    assert in_child(work) == [[], 0, True]
    log.wait_for("message")


@pytest.mark.parametrize("has_engine", [True, False])
def test_a_child_of_a_parent_that_served_broadcasts_as_an_outsider(
    make_house: Any, tmp_path: Path, has_engine: bool
) -> None:
    process = Runtime(Config(), root=str(tmp_path))
    parents = process.fanout.relay
    assert parents is not None
    if has_engine:
        process._engines[0] = Engine(Config(), process.fanout)

    def look() -> list[object]:
        relay = process.fanout.relay
        return [relay is parents, relay is None, relay is not None and relay._is_outsider]

    assert in_child(look) == ([False, False, True] if has_engine else [True, False, False])
    process.close()


@pytest.mark.parametrize(("is_serving", "is_outsider"), [(True, False), (False, True)])
def test_a_forked_process_is_an_outsider_until_it_serves(
    tmp_path: Path, is_serving: bool, is_outsider: bool
) -> None:
    def look() -> object:
        runtime = Runtime(Config(), root=str(tmp_path), is_serving=is_serving)
        assert runtime.fanout.relay is not None
        return runtime.fanout.relay._is_outsider

    assert in_child(look) == is_outsider


@pytest.mark.parametrize("is_serving", [True, False])
def test_a_process_that_nobody_forked_is_no_outsider(tmp_path: Path, is_serving: bool) -> None:
    runtime = Runtime(Config(), root=str(tmp_path), is_serving=is_serving)

    assert runtime.fanout.relay is not None
    assert not runtime.fanout.relay._is_outsider
    runtime.close()


def test_a_forked_process_is_an_outsider_unless_it_is_said_to_serve(tmp_path: Path) -> None:
    def look() -> object:
        relay = Runtime(Config(), root=str(tmp_path)).fanout.relay
        return relay is not None and relay._is_outsider

    assert in_child(look) is True


def test_a_child_of_an_app_without_other_processes_asks_nobody(tmp_path: Path) -> None:
    process = Runtime(Config(backplane="none"), root=str(tmp_path))
    process._engines[0] = Engine(Config(), process.fanout)

    assert in_child(lambda: process.fanout.relay is None) is True
    process.close()


def test_an_app_without_other_processes_has_no_relay(tmp_path: Path) -> None:
    for runtime in (Runtime(Config()), Runtime(Config(backplane="none"), root=str(tmp_path))):
        assert runtime.fanout.relay is None


def test_a_fork_error_names_how_many_connections_there_were(house: House) -> None:
    house.connect(quiet)
    house.connect(quiet)

    with pytest.raises(ForkError, match="2 "):
        raise house.engine.fork_error("and more")
