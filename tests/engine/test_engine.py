"""One hub's connections: who may come, who is counted, who is told, and what is left at the end."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.support.engine_house import House, Log, in_thread, quiet, wait_until
from tina4_wsgi.engine import engine as module
from tina4_wsgi.engine.engine import Engine
from tina4_wsgi.errors import ConnectionClosed
from tina4_wsgi.hosting import descriptors
from tina4_wsgi.hub import dispatcher
from tina4_wsgi.hub.sweeper import SWEEP_INTERVAL_S
from tina4_wsgi.routing.names import GroupKind
from tina4_wsgi.websocket.connection import Connection

PATH, ROOM = GroupKind.PATH, GroupKind.ROOM


class Ear:
    """Writes down what the fan-out is told of groups; stands in its place."""

    def __init__(self, engine: Engine) -> None:
        self.told: list[tuple[str, GroupKind, str]] = []
        for name in ("entered", "left", "wait_until_heard"):
            setattr(engine.fanout, name, self._note(name))

    def _note(self, what: str) -> Callable[[GroupKind, str], None]:
        return lambda kind, name: self.told.append((what, kind, name))


def test_a_cap_on_connections_leaves_room_below_it_and_a_few_above_it_on_request(
    make_house: Any,
) -> None:
    house = make_house(max_connections=2)
    rooms = []

    for _ in range(3):
        rooms.append((house.engine.has_room(), house.engine.has_room(1)))
        house.connect(quiet)

    assert rooms == [(True, True), (True, True), (False, True)]
    assert not house.engine.has_room(1)


def test_descriptors_may_allow_less_than_the_cap(
    make_house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptors, "to_spare", lambda: 1)
    house = make_house(max_connections=2)
    assert house.engine.has_room()

    house.connect(quiet)

    assert not house.engine.has_room()


def test_a_pool_that_is_stuck_leaves_room_for_nobody(
    make_house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, gate = make_house(max_callbacks=1), Event()
    clients = [house.connect(lambda *_: gate.wait())[0] for _ in range(2)]
    wait_until(lambda: house.engine.dispatcher.waiting_count)
    assert house.engine.has_room()

    monkeypatch.setattr(dispatcher, "PATIENCE_S", -1.0)
    assert not house.engine.has_room(1)

    gate.set()
    for client in clients:
        client.send_close()


def test_groups_are_counted_and_named_over_all_kinds_of_compression(house: House) -> None:
    for path, bits in (("/ws/b", 0), ("/ws/a", 15), ("/ws/b", 15), ("/ws/b", 9)):
        _, connection = house.connect(quiet, path, window_bits=bits)
        connection.join(f"room of {path}")

    engine = house.engine
    assert [engine.count(PATH, path) for path in ("/ws/a", "/ws/b", "/ws/c")] == [1, 3, 0]
    assert engine.count(ROOM, "room of /ws/b") == 3
    assert engine.names(PATH) == ["/ws/a", "/ws/b"]
    assert engine.names(ROOM) == ["room of /ws/a", "room of /ws/b"]


def test_all_kinds_of_compression_hear_a_broadcast_as_their_own_frame(house: House) -> None:
    text = 2_000 * "x"
    plain, connection = house.connect(quiet)
    compressed, _ = house.connect(quiet, window_bits=15)

    connection.broadcast(text)

    assert plain.read_text() == text
    frame = compressed.read_frame()
    assert (frame.first, len(frame.payload) < 100) == (0xC1, True)


def test_a_broadcast_finds_those_whose_path_has_compressed_members_alone(house: House) -> None:
    _, speaker = house.connect(quiet, "/ws/speaker")
    compressed, _ = house.connect(quiet, "/ws/hall", window_bits=15)
    smaller, connection = house.connect(quiet, "/ws/hall", window_bits=9)
    connection.join("lobby")

    speaker.broadcast_to("/ws/hall", "a")
    speaker.broadcast_to_room("lobby", "b")

    assert compressed.read_text() == "a"
    assert [smaller.read_text() for _ in range(2)] == ["a", "b"]


def test_on_a_path_are_those_that_are_open_there(house: House) -> None:
    connections = [house.connect(quiet, path)[1] for path in ("/ws/a", "/ws/a", "/ws/b")]
    connections[0].close()

    assert house.engine.on_path("/ws/a") == [connections[1]]


def test_others_hear_of_the_first_and_of_the_last_of_a_group_alone(house: House) -> None:
    house.connect(quiet, "/ws/other")
    ear = Ear(house.engine)
    connections = [house.connect(quiet)[1] for _ in range(3)]
    assert ear.told == [("entered", PATH, "/ws/test")]

    for connection in connections:
        connection.join("lobby")
        connection.join("lobby")
    assert ear.told[1:] == [
        ("entered", ROOM, "lobby"),
        *[("wait_until_heard", ROOM, "lobby")] * 3,
    ]

    del ear.told[:]
    for connection in connections[:2]:
        connection.leave("lobby")
        connection.leave("lobby")
        connection.leave("nowhere")
    connections[0].close()
    assert ear.told == []
    connections[1].close()
    connections[2].close()
    assert ear.told == [("left", PATH, "/ws/test"), ("left", ROOM, "lobby")]


def test_a_room_that_nobody_has_joined_can_be_left(house: House) -> None:
    client, connection = house.connect(quiet)

    connection.leave("lobby")
    connection.send("still here")

    assert client.read_text() == "still here"


def test_broadcasts_are_counted_by_their_kind(house: House) -> None:
    _, connection = house.connect(quiet)
    connection.join("lobby")

    for _ in range(2):
        connection.broadcast("a")
    for _ in range(3):
        connection.broadcast_to_room("lobby", "a")
    connection.broadcast_to("/ws/nobody", "a")

    assert (house.engine.path_broadcasts, house.engine.room_broadcasts) == (3, 3)


def test_with_metrics_the_members_of_each_broadcast_are_counted(make_house: Any) -> None:
    house = make_house(metrics="/metrics")
    connections = [house.connect(quiet)[1] for _ in range(3)]
    gevent.sleep(0)
    for connection in connections[:2]:
        connection.join("lobby")

    connections[0].broadcast("a")
    connections[0].broadcast_to_room("lobby", "b")
    gevent.sleep(0)

    assert house.engine.meter is not None
    assert (house.engine.meter.fanout.total, sum(house.engine.meter.fanout.counts)) == (5, 2)
    assert sum(house.engine.meter.flush_times.counts) == 1


def test_with_metrics_compressed_members_are_counted_too(make_house: Any) -> None:
    house = make_house(metrics="/metrics")
    connections = [house.connect(quiet, window_bits=bits)[1] for bits in (0, 15, 15)]
    gevent.sleep(0)
    for connection in connections:
        connection.join("lobby")

    connections[0].broadcast_to_room("lobby", "a")

    assert (house.engine.meter.fanout.total, sum(house.engine.meter.fanout.counts)) == (3, 2)


def test_without_metrics_nothing_is_measured(house: House) -> None:
    assert house.engine.meter is None


def test_what_was_broadcast_earlier_in_the_turn_is_not_for_a_newcomer(house: House) -> None:
    _, first = house.connect(quiet)
    gevent.sleep(0)

    first.broadcast("before")
    late, _ = house.connect(quiet)
    first.broadcast("after")

    assert late.read_text() == "after"


def test_who_has_both_close_frames_is_settled_and_closed_soon(house: House, log: Log) -> None:
    client, connection = house.connect(log)
    client.send_close()
    log.wait_for("close")
    assert house.engine.settling_count == 1
    assert house.process.connection_count == 0

    assert client.read_close() == 1000
    assert client.read_to_end() == b""

    wait_until(lambda: house.engine.settling_count == 0)
    assert connection.closed


def test_when_all_have_left_those_that_are_settled_are_still_closed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SETTLED_S", 1.5 * SWEEP_INTERVAL_S)
    client, _ = house.connect(quiet)

    client.send_close()
    wait_until(lambda: house.engine.settling_count == 1)
    assert not house.process.connection_count

    wait_until(lambda: house.engine.settling_count == 0)


class Socket:
    """Stands for a transport that is settled."""

    closed = False

    def close(self) -> None:
        self.closed = True


def test_of_many_that_are_settled_the_first_are_closed_early(house: House) -> None:
    sockets = [Socket() for _ in range(258)]
    for one in sockets:
        house.engine.settle(one)  # type: ignore[arg-type]

    assert [one.closed for one in sockets] == [True] * 2 + [False] * 256
    house.engine.close()
    assert all(one.closed for one in sockets)


def test_a_grace_period_lasts_a_tenth_of_a_second(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, clock = house.engine, SimpleNamespace(now_s=100.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now_s))
    first, second = Socket(), Socket()
    engine.settle(first)  # type: ignore[arg-type]
    clock.now_s = 100.0625
    engine.settle(second)  # type: ignore[arg-type]

    seen = []
    for clock.now_s in (100.09375, 100.125, 100.15625, 100.1875):
        has_more = engine._keep_house()
        seen.append((first.closed, second.closed, has_more))

    assert seen == [(False, False, True)] + 2 * [(True, False, True)] + [(True, True, False)]
    assert engine.now_s == 100.1875


def test_a_grace_period_is_over_at_its_last_moment(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, one = house.engine, Socket()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: 0.0))
    engine.settle(one)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: 0.1))
    engine._keep_house()

    assert one.closed


@pytest.mark.parametrize("wants_more", [True, False])
@pytest.mark.parametrize("has_settled", [True, False])
def test_the_sweep_goes_on_while_anybody_wants_it(
    house: House, wants_more: bool, has_settled: bool
) -> None:
    house.engine.on_sweep = lambda: wants_more
    if has_settled:
        house.engine.settle(Socket())  # type: ignore[arg-type]

    assert house.engine._keep_house() is (wants_more or has_settled)


def test_the_sweep_goes_on_while_the_pool_has_workers_to_spare(house: House) -> None:
    class Job:
        is_waiting = False

        def work(self) -> None:
            gate.wait()

    engine, gate, seen = house.engine, Event(), []
    for _ in range(18):
        engine.dispatcher.submit(Job())
    wait_until(lambda: engine.dispatcher.busy_count == 18)
    gate.set()
    wait_until(lambda: not engine.dispatcher.busy_count)

    for _ in range(3):
        engine.hub.loop.run_callback(
            lambda: seen.append((engine._keep_house(), engine.dispatcher.worker_count))
        )
    gevent.sleep(0)

    assert seen == [(True, 17), (False, 16), (False, 16)]


def test_the_sweep_closes_those_whose_grace_is_over_and_calls_who_asked(house: House) -> None:
    swept: list[int] = []

    def sweep() -> bool:
        swept.append(house.engine.settling_count)
        return len(swept) < 3

    house.engine.on_sweep = sweep
    client, _ = house.connect(quiet)
    client.send_close()

    wait_until(lambda: len(swept) > 2)

    assert swept[-1] == 0


def test_a_sweep_that_nobody_asked_for_has_nothing_more_to_do(house: House) -> None:
    assert house.engine._keep_house() is False


def test_the_tally_of_a_route_has_what_those_did_who_are_gone(house: House, log: Log) -> None:
    ended: list[Connection] = []
    house.engine.on_end = lambda lifecycle: ended.append(lifecycle.connection)
    client, connection = house.connect(log)
    tally = connection._lifecycle.service.tally
    client.send_text("hello")
    connection.send("hi")
    connection.broadcast("all")
    log.wait_for("message")
    assert (tally.opened_count, tally.messages_received) == (1, 0)

    client.send_close(4_000)
    log.wait_for("close")
    wait_until(lambda: not house.process.connection_count)

    assert ended == [connection]
    assert (tally.messages_received, tally.messages_sent) == (1, 2)
    assert (tally.received_bytes, tally.sent_bytes) == (6 + 5 + 6 + 2, 2 + 2 + 2 + 3 + 4)
    assert tally.closes == {"other": 1}


def test_who_is_forgotten_twice_is_counted_once(house: House, log: Log) -> None:
    client, connection = house.connect(log)
    lifecycle = connection._lifecycle
    client.send_text("hello")
    log.wait_for("message")

    client.send_close()
    log.wait_for("close")
    wait_until(lambda: not house.process.connection_count)

    house.engine.forget(lifecycle)

    assert lifecycle.service.tally.messages_received == 1


@pytest.mark.parametrize("end", ["by the client", "by us", "by a reset"])
def test_a_connection_that_is_over_is_freed_without_the_collector(
    house: House, log: Log, end: str
) -> None:
    gc.collect()
    gc.disable()
    try:
        client, connection = house.connect(log)
        kept = weakref.ref(connection)
        if end == "by us":
            connection.close()
        elif end == "by the client":
            client.send_close()
        else:
            client.reset()
        del connection
        if end == "by us":
            client.read_close()
            client.send_close()

        wait_until(lambda: kept() is None)
    finally:
        gc.enable()


def test_a_connection_that_is_over_can_still_be_asked_about(house: House, log: Log) -> None:
    client, connection = house.connect(log)
    client.send_close(4_000)
    log.wait_for("close")
    wait_until(lambda: not house.process.connection_count)

    assert (connection.closed, connection.close_code) == (True, 4_000)
    assert connection.refresh_auth() is True
    with pytest.raises(ConnectionClosed):
        connection.send("hi")
    connection.close()


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_close_is_counted_by_its_code_unless_the_client_made_it_up(
    house: House, log: Log, is_ours: bool
) -> None:
    client, connection = house.connect(log)
    tally = connection._lifecycle.service.tally

    if is_ours:
        connection.close(4_001)
        assert client.read_close() == 4_001
        client.send_close(4_001)
    else:
        client.reset()
    log.wait_for("close")

    assert tally.closes == {4_001 if is_ours else 1006: 1}


def test_a_goodbye_reaches_those_of_this_engine_alone(house: House, make_house: Any) -> None:
    other_house = make_house()
    client, connection = house.connect(quiet)
    _, stranger = other_house.connect(quiet)
    engine = house.engine

    in_thread(lambda: engine.say_goodbye([stranger, connection], 4_002, "go"))

    frame = client.read_frame()
    assert (frame.close_code, frame.payload[2:]) == (4_002, b"go")
    assert not stranger.closed


def test_a_closed_engine_gets_no_broadcast_any_more(house: House) -> None:
    engine = house.engine
    house.process.fanout.broadcast(PATH, "/ws/test", b"")
    assert engine.path_broadcasts == 1

    engine.close()
    house.process.fanout.broadcast(PATH, "/ws/test", b"")

    assert engine.path_broadcasts == 1
    house.process._engines.clear()


def test_a_closed_engine_gives_its_descriptors_back(make_house: Any, log: Log) -> None:
    before = set(os.listdir("/proc/self/fd"))
    house = make_house()
    client, _ = house.connect(log)
    log.wait_for("open")
    client.close()
    log.wait_for("close")

    house.process.release()
    gevent.sleep(0)

    assert set(os.listdir("/proc/self/fd")) == before


def test_a_draining_engine_says_so(house: House) -> None:
    assert not house.engine.is_draining

    assert house.engine.drain(1.0, 0.0)

    assert house.engine.is_draining


@pytest.mark.parametrize(("limit_s", "is_watched"), [(0.0, False), (0.5, True)])
def test_the_loop_is_watched_where_a_limit_is_set(
    make_house: Any, monkeypatch: pytest.MonkeyPatch, limit_s: float, is_watched: bool
) -> None:
    asked: list[Any] = []

    class Watch:
        def __init__(self, hub: object, thread_ident: int, limit_s: float, name_of: object) -> None:
            asked.append((thread_ident, limit_s, name_of))

        def close(self) -> None:
            asked.append("closed")

    monkeypatch.setattr(module, "LoopWatch", Watch)
    engine = make_house(blocked_loop_s=limit_s).engine
    begun = [(engine.thread_ident, limit_s, module._name_of)]
    assert asked == (begun if is_watched else [])

    engine.close()

    assert asked == ([*begun, "closed"] if is_watched else [])


# Who holds the loop


@pytest.mark.parametrize(
    ("argument", "value", "name"),
    [
        ("environ", {"PATH_INFO": "/a", "REQUEST_METHOD": "GET"}, "the request GET '/a'"),
        ("environ", {"PATH_INFO": 300 * "x"}, f"the request None {200 * 'x'!r}"),
        ("environ", {"REQUEST_METHOD": "GET"}, None),
        ("environ", "PATH_INFO", None),
        ("environ", None, None),
        ("settings", {"PATH_INFO": "/a"}, None),
    ],
)
def test_a_request_is_named_by_what_its_functions_are_called_with(
    argument: str, value: object, name: str | None
) -> None:
    assert module._name_of(argument, value) == name


def test_a_connection_is_named_by_its_route(house: House) -> None:
    _, connection = house.connect(quiet)

    named = module._name_of("whatever", connection)

    assert named == f"a callback of /ws/test, connection {connection.id}"


@pytest.mark.parametrize("count", [1, 30])
def test_a_connection_that_its_own_callback_ends_lives_until_its_turn_is_over(
    house: House, count: int
) -> None:
    ends: list[str] = []

    def end(connection: Connection, event: str, data: str | bytes) -> None:
        if event == "message":
            connection._lifecycle.transport.abort()
        elif event == "close":
            ends.append(event)

    clients = [house.connect(end)[0] for _ in range(count)]
    for client in clients:
        client.send_text("hello")

    wait_until(lambda: len(ends) == count)

    wait_until(lambda: not house.process.connection_count)
