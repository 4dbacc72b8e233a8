"""While callbacks that wait have taken all workers: what needs no callback goes on, and newcomers
go elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.support.engine_house import WAIT_S, House, Log, wait_until
from tests.support.raw import PING, PONG, TEXT, client_frame
from tina4_wsgi.hub import dispatcher
from tina4_wsgi.websocket import lifecycle

MOST = 3


class Crowded(House):
    """An engine whose workers are all taken by callbacks that wait for `gate`."""

    def __init__(self) -> None:
        super().__init__(max_callbacks=MOST)
        self.gate = Event()
        self.hogs = []
        for _ in range(MOST):
            client, _ = self.connect(self._wait)
            self.hogs.append(client)

    def take_all_workers(self) -> None:
        for client in self.hogs:
            client.send_text("wait")
        wait_until(lambda: self.engine.dispatcher.busy_count == MOST)

    def _wait(self, connection: Any, event: str, data: str) -> None:
        if event == "message":
            self.gate.wait()


@pytest.fixture
def crowded() -> Iterator[Crowded]:
    house = Crowded()
    yield house
    house.gate.set()
    house.leave()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a pool for stuck as soon as somebody waits."""
    monkeypatch.setattr(dispatcher, "PATIENCE_S", 0.0)


def test_a_close_frame_is_answered_and_its_callback_comes_when_there_is_room(
    crowded: Crowded, log: Log
) -> None:
    client, connection = crowded.connect(log)
    log.wait_for("open")
    crowded.take_all_workers()

    client.send_close(4000, b"enough")

    assert client.read_close() == 4000
    assert client.read_to_end() == b""
    assert log == [("open", "")]
    crowded.gate.set()
    log.wait_for("close")
    assert log == [("open", ""), ("close", "")]
    assert (connection.close_code, connection.close_reason) == (4000, "enough")


def test_where_no_callback_is_due_a_close_frame_is_answered_without_any_patience(
    crowded: Crowded, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "_PATIENCE_S", 60.0)
    client, _ = crowded.connect(log)
    log.wait_for("open")
    crowded.take_all_workers()

    client.send_close(4000, b"enough")

    assert client.read_close() == 4000


def test_a_close_frame_behind_a_message_that_waits_is_answered_too(
    crowded: Crowded, log: Log
) -> None:
    client, _ = crowded.connect(log)
    log.wait_for("open")
    crowded.take_all_workers()

    client.send_text("still handled")
    client.send_close()

    assert client.read_close() == 1000
    crowded.gate.set()
    log.wait_for("close")
    assert log == [("open", ""), ("message", "still handled"), ("close", "")]


def test_a_newcomer_that_leaves_before_its_open_is_answered_and_gets_both_events(
    crowded: Crowded, log: Log
) -> None:
    crowded.take_all_workers()
    client, _ = crowded.connect(log)

    client.send_close()

    assert client.read_close() == 1000
    assert log == []
    crowded.gate.set()
    log.wait_for("close")
    assert log == [("open", ""), ("close", "")]


def test_a_bad_frame_is_answered_with_its_code(crowded: Crowded, log: Log) -> None:
    client, _ = crowded.connect(log)
    log.wait_for("open")
    crowded.take_all_workers()

    client.send_bytes(b"\xf1\x80")

    assert client.read_close() == 1002


def test_a_peer_that_ends_its_side_hears_the_end_of_ours(crowded: Crowded, log: Log) -> None:
    client, connection = crowded.connect(log)
    log.wait_for("open")
    crowded.take_all_workers()

    client.socket.shutdown(1)

    assert client.read_to_end() == b""
    assert connection.close_code == 1006


def test_pings_are_answered(crowded: Crowded, log: Log) -> None:
    client, _ = crowded.connect(log)
    crowded.take_all_workers()

    client.send_frame(PING, b"7")

    assert client.read_frame() == (0x80 | PONG, b"7")


def test_whose_message_waits_is_pinged_all_the_same(crowded: Crowded, log: Log) -> None:
    client, connection = crowded.connect(log, ping_interval_s=0.1)
    log.wait_for("open")
    crowded.take_all_workers()
    client.send_text("waits")
    wait_until(lambda: connection._lifecycle.is_waiting)

    assert client.read_frame() == (0x80 | PING, b"")


def test_in_a_short_burst_the_reply_still_leaves_before_the_close_frame(crowded: Crowded) -> None:
    def echo(connection: Any, event: str, data: str) -> None:
        if event == "message":
            connection.send(data)

    client, connection = crowded.connect(echo)
    gevent.sleep(0)
    crowded.take_all_workers()
    client.send_bytes(client_frame(TEXT, b"first") + client_frame(0x8))
    wait_until(lambda: connection._lifecycle.is_waiting)

    crowded.gate.set()

    assert client.read_text() == "first"
    assert client.read_close() == 1005


def test_a_callback_that_runs_has_its_reply_leave_before_the_close_frame(house: House) -> None:
    release = Event()

    def slow(connection: Any, event: str, data: str) -> None:
        if event == "message":
            release.wait()
            connection.send("reply")

    client, connection = house.connect(slow)
    client.send_text("a")
    client.send_close()
    wait_until(lambda: connection._lifecycle.transport.is_paused)  # the close frame was read
    due_s = connection._lifecycle.due_s
    wait_until(
        lambda: connection._lifecycle.due_s > due_s
    )  # patience is over, but not for what runs

    release.set()

    assert client.read_text() == "reply"
    assert client.read_close() == 1000


def test_a_drain_tells_those_that_wait_and_those_whose_callbacks_run(
    crowded: Crowded, log: Log
) -> None:
    idle, _ = crowded.connect(log)
    log.wait_for("open")
    crowded.take_all_workers()
    waiting, _ = crowded.connect(log)
    waiting.send_text("too late")

    draining = gevent.spawn(crowded.engine.drain, 2.0, 0.0)

    for client in (idle, waiting, *crowded.hogs):
        assert client.read_close() == 1001
        client.send_close(1001)
        assert client.read_to_end() == b""  # no reset
    assert not draining.get(timeout=WAIT_S)  # the hogs never came back
    assert [event for event, _ in log].count("close") == 2


def test_who_is_sent_away_while_waiting_for_a_worker_is_told(crowded: Crowded, log: Log) -> None:
    crowded.take_all_workers()
    client, connection = crowded.connect(log)
    client.send_text("a")
    wait_until(lambda: connection._lifecycle.waiting_count)

    connection._lifecycle.dismiss(1012, "new code")

    assert client.read_close() == 1012


@pytest.mark.usefixtures("impatient")
def test_there_is_no_room_for_newcomers_while_jobs_wait_and_there_is_again_afterwards(
    crowded: Crowded, log: Log
) -> None:
    crowded.take_all_workers()
    assert crowded.engine.has_room()  # nobody waits: the pool is just full

    client, _ = crowded.connect(log)
    wait_until(lambda: not crowded.engine.has_room())

    crowded.gate.set()
    log.wait_for("open")
    wait_until(crowded.engine.has_room)
    client.send_close()
    assert client.read_close() == 1000


def test_a_short_burst_turns_nobody_away(crowded: Crowded, log: Log) -> None:
    crowded.take_all_workers()
    crowded.connect(log)
    wait_until(lambda: crowded.engine.dispatcher.waiting_count)

    assert crowded.engine.has_room()


@pytest.mark.parametrize(
    "errand",
    [
        lambda connection: connection.send("from a thread"),
        lambda connection: connection.join("room"),
        lambda connection: connection.leave("room"),
        lambda connection: connection.close(4000),
        lambda connection: connection.send_json([1]),
    ],
    ids=["send", "join", "leave", "close", "send_json"],
)
@pytest.mark.parametrize("how", ["apply", "spawn"])
def test_callbacks_that_wait_for_native_threads_do_not_wait_for_each_other(
    make_house: Callable[..., House], errand: Callable[[Any], object], how: str
) -> None:
    house = make_house(max_callbacks=MOST)
    pool, done, began = gevent.get_hub().threadpool, [], Event()

    def work(connection: Any, event: str, data: str) -> None:
        if event != "message":
            return
        if house.engine.dispatcher.busy_count == MOST:
            began.set()
        began.wait()  # all workers are taken
        if how == "apply":
            pool.apply(errand, (connection,))
        else:
            pool.spawn(errand, connection).get()
        done.append(connection)

    clients = [house.connect(work)[0] for _ in range(MOST)]
    for client in clients:
        client.send_text("x")

    wait_until(lambda: len(done) == MOST)


def test_a_native_thread_that_sends_to_a_slow_reader_takes_no_worker(
    make_house: Callable[..., House],
) -> None:
    house = make_house(max_callbacks=1)
    text = "x" * 4_000

    def flood(connection: Any, event: str, data: str) -> None:
        if event == "message":
            gevent.get_hub().threadpool.apply(lambda: [connection.send(text) for _ in range(100)])

    client, _ = house.connect(flood, send_buffer=4_608, max_outbound_bytes=8_192)
    client.send_text("go")

    assert [client.read_text() for _ in range(100)] == [text] * 100


def test_a_hub_whose_workers_are_all_taken_is_drained_from_another_thread(
    crowded: Crowded, log: Log
) -> None:
    client, _ = crowded.connect(log)
    log.wait_for("open")
    crowded.take_all_workers()

    draining = gevent.get_hub().threadpool.spawn(crowded.process.drain, 1.0)

    assert client.read_close() == 1001
    client.send_close(1001)
    crowded.gate.set()
    draining.get()
