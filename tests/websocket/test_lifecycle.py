"""open, then messages in order and one at a time, then close, once, whatever happens."""

from __future__ import annotations

import contextlib
import logging
import time
from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.support.engine_house import House, Log, in_thread, wait_until
from tests.support.raw import BINARY, CLOSE, TEXT, client_frame
from tina4_wsgi.errors import ConnectionClosed
from tina4_wsgi.websocket import lifecycle


def names(log: Log) -> list[str]:
    return [name for name, _ in log]


def test_a_session_is_open_messages_close(house: House, log: Log) -> None:
    client, connection = house.connect(log)

    client.send_text("one")
    client.send_frame(BINARY, b"\x00two")
    client.send_close(1000, b"bye")

    assert client.read_close() == 1000
    log.wait_for("close")
    assert log == [("open", ""), ("message", "one"), ("message", b"\x00two"), ("close", "")]
    assert (connection.close_code, connection.close_reason) == (1000, "bye")


def test_messages_sent_right_behind_the_handshake_come_after_open(house: House, log: Log) -> None:
    house.connect(log, early=client_frame(TEXT, b"early"))

    log.wait_for("message")

    assert log == [("open", ""), ("message", "early")]


def test_messages_that_arrive_while_open_still_runs_wait_for_it(house: House) -> None:
    seen: list[str] = []

    def slow_open(connection: Any, event: str, data: str) -> None:
        if event == "open":
            gevent.sleep(0.02)
        seen.append(event)

    client, _ = house.connect(slow_open)
    for _ in range(3):
        client.send_text("x")
    client.send_close()
    client.read_close()

    assert seen == ["open", "message", "message", "message", "close"]


def test_callbacks_of_one_connection_never_overlap(house: House) -> None:
    running, most = 0, 0

    def callback(connection: Any, event: str, data: str) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        gevent.sleep(0.001)
        running -= 1
        connection.send(data) if event == "message" else None

    client, _ = house.connect(callback)
    for number in range(50):
        client.send_text(str(number))

    assert [client.read_text() for _ in range(50)] == [str(number) for number in range(50)]
    assert most == 1


def test_replies_to_what_came_before_a_bad_frame_leave_before_the_failing_close(
    house: House,
) -> None:
    def slow_echo(connection: Any, event: str, data: str) -> None:
        if event == "message":
            gevent.sleep(0.01)
            connection.send(data)

    client, connection = house.connect(slow_echo)
    client.send_bytes(client_frame(TEXT, b"good") + b"\xf1\x80")

    assert client.read_text() == "good"
    assert client.read_close() == 1002
    assert client.read_to_end() == b""
    assert connection.close_code == 1002


def test_eof_without_a_close_frame_is_1006(house: House, log: Log) -> None:
    client, connection = house.connect(log)
    client.send_text("last")

    client.close()
    log.wait_for("close")

    assert names(log) == ["open", "message", "close"]
    assert connection.close_code == 1006


def test_replies_still_reach_a_peer_that_only_ended_its_own_side(house: House) -> None:
    def late_echo(connection: Any, event: str, data: str) -> None:
        if event == "message":
            gevent.sleep(0.01)
            connection.send(data)

    client, _ = house.connect(late_echo)
    client.send_text("half")
    client.socket.shutdown(1)

    assert client.read_text() == "half"


def test_an_exception_in_open_closes_with_1011(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[str] = []

    def broken(connection: Any, event: str, data: str) -> None:
        events.append(event)
        if event == "open":
            raise RuntimeError("no")

    client, connection = house.connect(broken, "/ws/broken")

    assert client.read_close() == 1011
    client.send_close(1011)
    client.read_to_end()
    assert events == ["open", "close"]
    [record] = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert "/ws/broken" in record.getMessage()
    assert connection.id in record.getMessage()
    assert record.exc_info is not None


def test_an_exception_in_message_keeps_the_connection(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    def echo_number(connection: Any, event: str, data: str) -> None:
        if event == "message":
            connection.send(str(int(data)))

    client, _ = house.connect(echo_number)
    client.send_text("no number")
    client.send_text("7")

    assert client.read_text() == "7"
    assert len([one for one in caplog.records if one.levelno >= logging.ERROR]) == 1


def test_on_error_close_answers_an_exception_in_message_with_1011(house: House) -> None:
    def broken(connection: Any, event: str, data: str) -> None:
        if event == "message":
            raise RuntimeError("no")

    client, _ = house.connect(broken, on_error="close")
    client.send_text("x")

    assert client.read_close() == 1011


@pytest.mark.parametrize("when", ["open", "message", "close"])
def test_close_may_be_called_in_any_event_and_runs_close_once(house: House, when: str) -> None:
    events: list[str] = []

    def closing(connection: Any, event: str, data: str) -> None:
        events.append(event)
        if event == when:
            connection.close(4001, "enough")
            connection.close(4002, "again")

    client, connection = house.connect(closing)
    if when == "message":
        client.send_text("x")
    if when == "close":
        client.send_close(1000)
        assert client.read_close() == 1000
    else:
        assert client.read_close() == 4001
        client.send_close(4001)
    client.read_to_end()
    gevent.sleep(0)

    assert events[-1] == "close"
    assert events.count("close") == 1
    assert connection.close_code == (1000 if when == "close" else 4001)


def test_messages_behind_close_are_dropped(house: House) -> None:
    seen: list[str] = []

    def closing(connection: Any, event: str, data: str) -> None:
        seen.append(data)
        if data == "1":
            connection.close()

    client, _ = house.connect(closing)
    client.send_bytes(
        b"".join(client_frame(TEXT, str(n).encode()) for n in range(500)) + client_frame(CLOSE)
    )

    assert client.read_close() == 1000
    client.read_to_end()
    assert seen == ["", "0", "1", ""]


def test_sending_after_the_end_raises_connection_closed_with_the_code(house: House) -> None:
    caught: list[ConnectionClosed] = []

    def callback(connection: Any, event: str, data: str) -> None:
        if event == "close":
            with pytest.raises(ConnectionClosed) as info:
                connection.send("too late")
            caught.append(info.value)

    client, _ = house.connect(callback)
    client.send_close(4000, b"mine")
    client.read_to_end()

    assert [(error.code, error.reason, error.was_clean) for error in caught] == [
        (4000, "mine", True)
    ]


def test_a_reset_ends_with_1006_and_messages_before_it_are_still_delivered(house: House) -> None:
    seen: list[str] = []
    go_on = gevent.event.Event()

    def callback(connection: Any, event: str, data: str) -> None:
        seen.append(event)
        if event == "message":
            go_on.wait()

    client, connection = house.connect(callback)
    client.send_bytes(client_frame(TEXT, b"a") + client_frame(TEXT, b"b"))
    while len(seen) < 2:
        gevent.sleep(0)
    client.reset()
    go_on.set()
    while "close" not in seen:
        gevent.sleep(0)

    assert seen == ["open", "message", "message", "close"]
    assert connection.close_code == 1006


def test_a_peer_that_never_answers_our_close_is_cut_off(house: House, log: Log) -> None:
    client, connection = house.connect(log, close_timeout_s=0.1)
    gevent.sleep(0)

    connection.close(4003)
    assert client.read_close() == 4003
    log.wait_for("close")

    assert connection.close_code == 4003
    assert client.read_to_end() == b""


def test_close_refuses_a_code_that_may_not_travel(house: House, log: Log) -> None:
    _, connection = house.connect(log)

    with pytest.raises(ValueError, match="1006 may not travel"):
        connection.close(1006)


def test_a_context_variable_set_by_one_callback_is_not_seen_by_another(house: House) -> None:
    import contextvars

    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="clean")
    seen: list[str] = []

    def callback(connection: Any, event: str, data: str) -> None:
        seen.append(variable.get())
        variable.set("dirty")

    for _ in range(3):
        client, _ = house.connect(callback)
        client.send_close()
        client.read_to_end()

    assert seen.count("clean") >= 3, seen


# What is counted and remembered


@pytest.mark.parametrize("is_peers", [True, False])
def test_whose_close_it_was_is_known(house: House, log: Log, is_peers: bool) -> None:
    client, connection = house.connect(log)
    assert not connection._lifecycle.was_closed_by_peer

    if is_peers:
        client.send_close(4_000)
        client.read_close()
    else:
        connection.close(4_000)
        client.read_close()
        client.send_close(4_000)
    log.wait_for("close")

    assert connection._lifecycle.was_closed_by_peer == is_peers


def test_what_ended_a_connection_first_is_what_ended_it(house: House, log: Log) -> None:
    gate = Event()

    def hold(connection: Any, event: str, data: str) -> None:
        if event == "message":
            gate.wait()
            with contextlib.suppress(ConnectionClosed):
                for _ in range(100):
                    connection.send("x" * 10_000)
                    gevent.sleep(0)
        log(connection, event, data)

    client, connection = house.connect(hold)
    client.send_text("go")
    client.send_close(4_000, b"enough")
    wait_until(lambda: connection._lifecycle.waiting_count)
    gevent.sleep(0.01)
    client.reset()
    gate.set()
    log.wait_for("close")

    assert (connection.close_code, connection.close_reason) == (4_000, "enough")


def test_a_fault_behind_our_close_changes_nothing_of_how_it_ended(
    house: House, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    client, connection = house.connect(log)
    connection.close(4_000, "enough")
    assert client.read_close() == 4_000

    client.send_bytes(b"\x83\x80\0\0\0\0")
    log.wait_for("close")

    assert (connection.close_code, connection.close_reason) == (4_000, "enough")
    assert client.read_to_end() == b""
    assert caplog.records == []


def test_messages_that_wait_are_counted_until_the_callback_is_done(house: House) -> None:
    gate = Event()

    def hold(connection: Any, event: str, data: str) -> None:
        if event == "message":
            gate.wait()

    client, connection = house.connect(hold)
    for _ in range(3):
        client.send_text("x")
    wait_until(lambda: connection._lifecycle.waiting_count == 3)

    gate.set()

    wait_until(lambda: connection._lifecycle.waiting_count == 0)


def test_a_burst_of_callbacks_has_time_to_answer_before_the_close_frame(
    make_house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "_PATIENCE_S", 60.0)
    house, gate, sweeps = make_house(max_callbacks=1), Event(), []

    def answer(connection: Any, event: str, data: str) -> None:
        if event == "message":
            if data == "hold":
                gate.wait()
            connection.send(data)

    hog, _ = house.connect(answer)
    client, _ = house.connect(answer)
    gevent.sleep(0)
    hog.send_text("hold")
    wait_until(lambda: house.engine.dispatcher.busy_count)
    client.send_text("reply first")
    client.send_close(4_000)
    house.engine.on_sweep = lambda: bool(sweeps.append(0)) or True
    wait_until(lambda: len(sweeps) > 2)
    house.engine.on_sweep = None
    gate.set()

    assert client.read_text() == "reply first"
    assert client.read_close() == 4_000


def test_after_the_end_a_connection_is_over_and_says_so(house: House, log: Log) -> None:
    client, connection = house.connect(log)
    assert not connection._lifecycle.is_over
    client.send_close()
    log.wait_for("close")

    assert connection._lifecycle.is_over


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1001, "going away; retry in 7 ms"), (4_999, 123 * "r")]
)
def test_close_sends_its_code_and_reason(house: House, code: int, reason: str) -> None:
    client, connection = house.connect(lambda *_: None)

    connection.close(code, reason)

    frame = client.read_frame()
    assert (frame.close_code, frame.payload[2:].decode()) == (code, reason)
    assert (connection.close_code, connection.close_reason, connection.closed) == (
        code,
        reason,
        True,
    )
    connection.close(4_000, "again")
    assert connection.close_code == code


def test_whose_socket_was_lost_in_a_callback_gets_1006_when_it_sends(house: House) -> None:
    gate, raised = Event(), []

    def hold(connection: Any, event: str, data: str) -> None:
        if event == "message":
            gate.wait()
            with pytest.raises(ConnectionClosed) as caught:
                connection.send("too late")
            raised.append(caught.value.code)

    client, connection = house.connect(hold)
    client.send_text("go")
    wait_until(lambda: house.engine.dispatcher.busy_count)
    connection._lifecycle.transport.abort()
    gate.set()
    wait_until(lambda: raised)

    assert raised == [1006]


@pytest.mark.parametrize("is_clean", [True, False])
def test_whether_both_sides_said_goodbye_is_told(house: House, is_clean: bool) -> None:
    raised: list[ConnectionClosed] = []

    def send_late(connection: Any, event: str, data: str) -> None:
        if event == "close":
            with pytest.raises(ConnectionClosed) as caught:
                connection.send("too late")
            raised.append(caught.value)

    client, connection = house.connect(send_late)
    if is_clean:
        client.send_close(4_000)
    else:
        client.socket.shutdown(1)
    wait_until(lambda: raised)

    assert (raised[0].code, raised[0].was_clean) == ((4_000, True) if is_clean else (1006, False))
    assert connection._lifecycle.is_over or not is_clean


def test_a_look_when_nothing_is_due_changes_nothing(house: House) -> None:
    client, connection = house.connect(lambda *_: None)
    gevent.sleep(0)

    connection._lifecycle.on_due(time.monotonic())
    connection.send("still here")

    assert client.read_text() == "still here"


def test_a_connection_that_was_lost_had_no_goodbye(house: House) -> None:
    raised: list[ConnectionClosed] = []

    def send_late(connection: Any, event: str, data: str) -> None:
        if event == "close":
            with pytest.raises(ConnectionClosed) as caught:
                connection.send("too late")
            raised.append(caught.value)

    _, connection = house.connect(send_late)
    connection._lifecycle.transport.abort()
    wait_until(lambda: raised)
    gevent.sleep(0)

    assert (raised[0].code, raised[0].was_clean) == (1006, False)
    assert connection._lifecycle.is_over


def test_a_connection_whose_socket_outlives_its_close_is_forgotten_when_that_is_gone(
    house: House, log: Log
) -> None:
    client, _ = house.connect(log)

    client.socket.shutdown(1)
    log.wait_for("close")
    client.close()
    wait_until(lambda: not house.process.connection_count)

    assert names(log) == ["open", "close"]


def test_a_close_frame_is_answered_by_its_code_without_its_reason(house: House) -> None:
    client, connection = house.connect(lambda *_: None)

    client.send_close(4_000, b"bye")

    frame = client.read_frame()
    assert frame.payload == (4_000).to_bytes(2, "big")
    assert connection.close_reason == "bye"


def test_messages_that_are_dropped_at_the_end_weigh_nothing_any_more(house: House) -> None:
    gate = Event()

    def hold(connection: Any, event: str, data: str) -> None:
        if event == "message":
            gate.wait()

    client, connection = house.connect(hold)
    for _ in range(3):
        client.send_text("x" * 100)
    wait_until(lambda: house.engine.inbound_bytes == 300)

    connection.close()

    assert house.engine.inbound_bytes == 0
    gate.set()


def test_what_comes_behind_a_dismissal_is_not_read_any_more(house: House, log: Log) -> None:
    gate = Event()

    def hold(connection: Any, event: str, data: str) -> None:
        log(connection, event, data)
        if data == "hold":
            gate.wait()
            connection.send("the reply")

    client, connection = house.connect(hold)
    client.send_text("hold")
    log.wait_for("message")

    connection._lifecycle.dismiss(1001, "going away")
    received_bytes = connection._lifecycle.transport.received_bytes
    client.send_text("late")
    gevent.sleep(0.05)
    assert connection._lifecycle.transport.received_bytes == received_bytes
    gate.set()

    assert (client.read_text(), client.read_close()) == ("the reply", 1001)
    assert ("message", "late") not in log


@pytest.mark.parametrize(
    ("call", "code"), [({"is_last_call": True}, 1001), ({"is_last_call": False}, None), ({}, None)]
)
def test_a_last_call_does_not_wait_for_the_callback_that_runs(
    house: House, call: dict[str, bool], code: int | None
) -> None:
    gate = Event()
    client, connection = house.connect(lambda *_: gate.wait())
    gevent.sleep(0)

    connection._lifecycle.dismiss(1001, "going", **call)
    assert connection.close_code == code
    gate.set()

    assert client.read_close() == 1001


def test_what_a_native_thread_sends_is_counted_once(house: House) -> None:
    client, connection = house.connect(lambda *_: None)

    in_thread(lambda: connection.send("a"))

    assert client.read_text() == "a"
    assert connection._lifecycle.transport.sent_messages == 1


# Sessions, which connections of one route hand to each other


def served_by(connection: Any) -> Any:
    return connection._lifecycle.service


def test_a_session_that_holds_nothing_is_the_next_ones_of_its_route(house: House, log: Log) -> None:
    first, connection = house.connect(log)
    second, other = house.connect(log, served=served_by(connection))
    assert house.engine.spare_session is None
    first.send_text("a")
    wait_until(lambda: house.engine.spare_session is not None)
    spare, inbound = house.engine.spare_session, house.engine.spare_inbound

    second.send_bytes(client_frame(TEXT, b"b")[:-1])
    wait_until(lambda: house.engine.spare_session is None)
    assert other._lifecycle._session is spare
    first.send_text("c")
    wait_until(lambda: ("message", "c") in log)
    second.send_bytes(client_frame(TEXT, b"b")[-1:])
    wait_until(lambda: house.engine.spare_session is spare)

    assert house.engine.spare_inbound is inbound
    assert [data for _, data in log if data] == ["a", "c", "b"]
    assert connection._lifecycle._session is other._lifecycle._session is None


@pytest.mark.parametrize("is_other_route", [True, False])
def test_a_session_serves_neither_another_route_nor_one_that_compresses(
    house: House, log: Log, is_other_route: bool
) -> None:
    first, connection = house.connect(log)
    served = None if is_other_route else served_by(connection)
    second, other = house.connect(log, served=served, window_bits=0 if is_other_route else 15)
    first.send_text("a")
    wait_until(lambda: house.engine.spare_session is not None)
    spare = house.engine.spare_session

    second.send_bytes(client_frame(TEXT, b"b")[:-1])
    wait_until(lambda: other._lifecycle._session is not None)

    assert house.engine.spare_session is spare
    assert other._lifecycle._session is not spare


@pytest.mark.parametrize("slow", ["open", "message"])
def test_a_session_is_handed_on_after_a_callback_that_waited(house: House, slow: str) -> None:
    gate, done = Event(), []

    def hold(connection: Any, event: str, data: str) -> None:
        if event == slow:
            gate.wait()
        if event == "message":
            done.append(data)

    client, connection = house.connect(hold)
    client.send_text("a")
    wait_until(lambda: connection._lifecycle.waiting_count)
    assert house.engine.spare_session is None

    gate.set()
    wait_until(lambda: done)
    gevent.sleep(0)

    assert house.engine.spare_session is not None
    assert connection._lifecycle._session is None


def test_a_session_that_compresses_is_kept_for_nobody(house: House, log: Log) -> None:
    client, connection = house.connect(log, window_bits=15)

    client.send_text("a")
    wait_until(lambda: ("message", "a") in log and connection._lifecycle._session is None)

    assert house.engine.spare_session is None
