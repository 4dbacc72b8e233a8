"""Calls from native threads: the hub's objects are touched by the hub's thread alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from tests.support.engine_house import House, in_thread
from tina4_wsgi.engine.engine import Engine
from tina4_wsgi.engine.groups import Groups
from tina4_wsgi.errors import ConnectionClosed
from tina4_wsgi.hub.flush_queue import FlushQueue
from tina4_wsgi.protocol.frames import encode_message
from tina4_wsgi.routing.names import GroupKind


def quiet(connection: Any, event: str, data: str) -> None:
    """A callback that does nothing."""


def started(
    function: Callable[[], object], ready: threading.Event | None = None
) -> threading.Thread:
    """Start a native thread, and wait until it has set `ready`."""
    thread = threading.Thread(target=function)
    thread.start()
    if ready is not None:
        in_thread(ready.wait)
    return thread


def test_sends_from_a_native_thread_arrive_in_order(house: House) -> None:
    client, connection = house.connect(quiet)

    in_thread(lambda: [connection.send(str(n)) for n in range(300)])

    assert [client.read_text() for _ in range(300)] == [str(n) for n in range(300)]


def test_a_native_thread_gets_the_error_of_its_own_send(house: House) -> None:
    _, connection = house.connect(quiet)
    connection.close(4000)

    with pytest.raises(ConnectionClosed, match="4000"):
        in_thread(lambda: connection.send("late"))


def test_a_native_thread_waits_for_a_slow_reader_while_the_hub_goes_on(house: House) -> None:
    client, connection = house.connect(quiet, send_buffer=4_608, max_outbound_bytes=8_192)

    sending = gevent.get_hub().threadpool.spawn(
        lambda: [connection.send(f"{n:5}" + "x" * 4_000) for n in range(100)]
    )

    assert [int(client.read_text()[:5]) for _ in range(100)] == list(range(100))
    sending.get(timeout=10)


def test_who_has_left_can_not_be_put_into_a_room_by_a_thread(house: House) -> None:
    _, connection = house.connect(quiet)
    connection.close(4000)

    with pytest.raises(ConnectionClosed, match="4000"):
        in_thread(lambda: connection.join("r"))

    assert house.engine.names(GroupKind.ROOM) == []


def test_a_named_room_is_reached_from_a_native_thread(house: House) -> None:
    client, connection = house.connect(quiet)
    connection.join("r")

    in_thread(lambda: connection.broadcast_to_room("r", "from a thread"))

    assert client.read_text() == "from a thread"


def test_broadcasts_from_threads_and_greenlets_at_once_lose_nothing(house: House) -> None:
    clients = [house.connect(quiet)[0] for _ in range(5)]
    gevent.sleep(0)

    def shout(name: str) -> None:
        for n in range(2_000):
            house.process.fanout.broadcast(GroupKind.PATH, "/ws/test", encode_message(f"{name}{n}"))

    readers = [
        gevent.spawn(lambda one=one: [one.read_text() for _ in range(6_000)]) for one in clients
    ]
    shouting = [gevent.get_hub().threadpool.spawn(shout, name) for name in ("a", "b")]
    gevent.spawn(shout, "c")
    gevent.joinall(shouting)

    for reader in readers:
        heard = reader.get(timeout=10)
        for name in "abc":
            assert [text for text in heard if text[0] == name] == [
                f"{name}{n}" for n in range(2_000)
            ]


def test_close_join_and_leave_work_from_a_thread(house: House) -> None:
    client, connection = house.connect(quiet)

    in_thread(lambda: connection.join("r"))
    assert house.engine.names(GroupKind.ROOM) == ["r"]
    in_thread(lambda: connection.leave("r"))
    assert house.engine.names(GroupKind.ROOM) == []
    in_thread(lambda: connection.close(4007, "from a thread"))

    assert client.read_close() == 4007


def test_the_registry_stays_whole_under_threads_that_come_and_go() -> None:
    registry = Groups(FlushQueue(lambda flush: None))
    errors: list[BaseException] = []

    def come_and_go(number: int) -> None:
        try:
            member: Any = object()
            for turn in range(2_000):
                group = registry.add(f"/p{(number + turn) % 3}", member)
                assert member in group.members()
                assert registry.count(group.name) >= 1
                registry.remove(group, member)
                registry.names()
        except BaseException as exc:  # noqa: BLE001  # shown below
            errors.append(exc)

    threads = [threading.Thread(target=come_and_go, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert len(registry) == 0


def test_a_second_hub_in_another_thread_hears_broadcasts_too(house: House) -> None:
    heard: list[str] = []
    ready = threading.Event()

    def another_hub() -> None:
        client, _ = house.connect(quiet)
        gevent.sleep(0)
        ready.set()
        heard.append(client.read_text())
        client.close()
        house.process.engine().drain(1.0, 0.0)
        gevent.get_hub().destroy()

    thread = started(another_hub, ready)

    house.process.fanout.broadcast(GroupKind.PATH, "/ws/test", encode_message("to all hubs"))

    in_thread(thread.join)
    assert heard == ["to all hubs"]


def test_a_thread_with_the_number_of_one_that_ended_gets_an_engine_of_its_own(house: House) -> None:
    engines: list[Any] = []

    def short_lived_hub() -> None:
        engines.append(house.process.engine())
        assert engines[-1].is_alive
        gevent.get_hub().destroy()

    for _ in range(3):
        in_thread(started(short_lived_hub).join)

    assert len({id(engine) for engine in engines}) == 3


def test_a_hub_that_is_gone_is_passed_over(house: House) -> None:
    def short_lived_hub() -> None:
        house.process.engine()
        gevent.get_hub().destroy()

    in_thread(started(short_lived_hub).join)
    client, _ = house.connect(quiet)

    house.process.fanout.broadcast(GroupKind.ROOM, "nobody's", encode_message("not here"))
    house.process.fanout.broadcast(GroupKind.PATH, "/ws/test", encode_message("still here"))

    assert client.read_text() == "still here"
    assert house.process.connection_count == 1


def test_all_hubs_are_drained_at_once(house: House) -> None:
    here, _ = house.connect(quiet)
    codes: list[int] = []
    ready = threading.Event()

    def another_hub() -> None:
        client, _ = house.connect(quiet)
        ready.set()
        codes.append(client.read_close())
        client.close()
        house.engine.drain(1.0, 0.0)
        gevent.get_hub().destroy()

    thread = started(another_hub, ready)

    draining = gevent.spawn(house.process.drain, 10.0)
    in_thread(thread.join)

    assert codes == [1001]
    assert not draining.ready(), "the client of this hub hasn't answered yet"
    assert here.read_close() == 1001
    here.send_close(1001)
    draining.get(timeout=10)


def test_all_hubs_are_told_to_dismiss_and_to_close(house: House) -> None:
    here, _ = house.connect(quiet)
    codes: list[int] = []
    ready = threading.Event()

    def another_hub() -> None:
        client, _ = house.connect(quiet)
        ready.set()
        codes.append(client.read_close())
        client.close()
        while house.process.engines:
            gevent.sleep(0.002)
        gevent.sleep(0)  # the engine is closed in the hub of its own
        gevent.get_hub().destroy()

    thread = started(another_hub, ready)

    house.process.dismiss(1012, "new code")
    assert here.read_close() == 1012
    here.close()
    while not codes or house.engine.connections:
        gevent.sleep(0.002)
    house.process.close()

    in_thread(thread.join)
    assert codes == [1012]


def test_a_hub_that_stands_still_does_not_hold_up_the_drain(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    ready, is_over = threading.Event(), threading.Event()

    def another_hub() -> None:
        client, _ = house.connect(quiet)
        ready.set()
        is_over.wait()  # stands for a callback that lets nobody else run
        client.close()
        house.engine.drain(1.0, 0.0)
        gevent.get_hub().destroy()

    thread = started(another_hub, ready)

    house.process.drain(0.1)

    assert [
        record.getMessage() for record in caplog.records if record.name == "tina4_wsgi.process"
    ] == ["1 connections of another thread were left, since its hub stands still"]
    is_over.set()
    in_thread(thread.join)


def test_a_drain_that_fails_in_another_thread_is_told(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready, is_over = threading.Event(), threading.Event()

    def another_hub() -> None:
        house.process.engine()
        ready.set()
        while not is_over.is_set():
            gevent.sleep(0.002)
        gevent.get_hub().destroy()

    def fail(engine: Engine, *_: float) -> bool:
        raise LookupError("a mistake of ours")

    thread = started(another_hub, ready)
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "drain", fail)
        house.process.drain(1.0)

    assert [record.getMessage() for record in caplog.records if record.exc_info] == [
        "the drain of another thread's connections failed"
    ]
    is_over.set()
    in_thread(thread.join)
