"""Mishaps in the life of a connection: our own errors, callbacks that end the program, and ends
that meet.
"""

from __future__ import annotations

import argparse
import builtins
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import gevent
import pytest
from gevent.event import Event
from greenlet import GreenletExit

from tests.support.engine_house import SMALL_BUFFER, WAIT_S, House, Log, quiet, wait_until
from tests.support.raw import BINARY, CLOSE
from tina4_wsgi.hosting.stop_guard import StopGuard
from tina4_wsgi.hub import mishaps
from tina4_wsgi.hub.sweeper import Sweeper


def test_an_error_of_ours_ends_that_connection_alone(
    house: House, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    client, connection = house.connect(log)
    other, _ = house.connect(quiet)

    connection._lifecycle.failed(MemoryError())
    log.wait_for("close")

    assert (connection.close_code, client.read_to_end()) == (1006, b"")
    assert [record.getMessage() for record in caplog.records if record.exc_info] == [
        "connection to /ws/test failed"
    ]
    other.send_close()
    assert other.read_close() == 1000


def test_a_log_that_fails_costs_no_event(
    house: House, log: Log, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(record: logging.LogRecord) -> bool:
        raise LookupError("a filter of the app's")

    def complain(connection: Any, event: str, data: str) -> None:
        log(connection, event, data)
        raise ValueError(event)

    logger = logging.getLogger("tina4_wsgi.connection")
    caplog.set_level(logging.INFO, logger.name)
    logger.addFilter(fail)
    try:
        client, _ = house.connect(complain)
        client.send_close(4_000)
        log.wait_for("close")
        wait_until(lambda: not house.process.connection_count)
    finally:
        logger.removeFilter(fail)

    assert [event for event, _ in log] == ["open", "close"]
    shown = capsys.readouterr().err.count("LookupError: a filter of the app's")
    assert shown == 4  # its coming, its end, two callbacks


class Odd(BaseException):
    """An exception of the app's own, and one that can't even be shown."""

    def __str__(self) -> str:
        raise SystemExit("not even this")


def exit_by_argparse() -> None:
    argparse.ArgumentParser(exit_on_error=True).parse_args(["--no-such-option"])


def raiser(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def throw_into_a_generator() -> None:
    def generate() -> Iterator[None]:
        yield

    generator = generate()
    next(generator)
    generator.throw(KeyboardInterrupt)


RAISERS = {
    "argparse": exit_by_argparse,
    "exit": sys.exit,
    "quit": lambda: builtins.exit(3),
    "keyboard": raiser(KeyboardInterrupt("enough")),
    "killed": raiser(GreenletExit()),
    "timeout": raiser(gevent.Timeout(1)),
    "stop": raiser(StopIteration()),
    "generator": raiser(GeneratorExit()),
    "odd": raiser(Odd()),
}


@pytest.mark.parametrize("raises", RAISERS.values(), ids=RAISERS)
@pytest.mark.parametrize("when", ["open", "message", "close"])
def test_what_a_callback_raises_costs_nobody_else_anything(
    house: House, log: Log, raises: Callable[[], None], when: str
) -> None:
    def callback(connection: Any, event: str, data: str) -> None:
        log(connection, event, data)
        if event == when:
            raises()

    def echo(connection: Any, event: str, data: str) -> None:
        if event == "message":
            connection.send(data)

    other, _ = house.connect(echo)
    client, _ = house.connect(callback, on_error="close")
    client.send_text("a")
    if when == "close":
        client.send_close(1000)

    code = client.read_close()
    killed = when == "message" and raises is RAISERS["killed"]
    assert code == (1000 if when == "close" else 1011) or killed
    if when != "close":
        client.send_close(1011)
    log.wait_for("close")
    assert [event for event, _ in log].count("close") == 1
    other.send_text("still here")
    assert other.read_text() == "still here"


@pytest.mark.parametrize("raises", RAISERS.values(), ids=RAISERS)
def test_what_a_callback_raises_keeps_its_connection_where_errors_may_be(
    house: House, raises: Callable[[], None]
) -> None:
    def callback(connection: Any, event: str, data: str) -> None:
        if data == "raise":
            raises()
        elif event == "message":
            connection.send(data)

    client, _ = house.connect(callback)

    client.send_text("raise")
    client.send_text("next")

    assert client.read_text() == "next"


@pytest.mark.parametrize("raises", RAISERS.values(), ids=RAISERS)
def test_what_a_login_check_raises_ends_no_program(
    house: House, raises: Callable[[], None]
) -> None:
    asked = []

    def door(request: Any) -> str:
        asked.append(request)
        raises()
        return "never"

    def refresh(connection: Any, event: str, data: str) -> None:
        if event == "message":
            connection.refresh_auth()

    other, _ = house.connect(
        lambda connection, event, data: event == "message" and connection.send(data)
    )
    house.connect(quiet, auth=door, reauth_every=0.1)
    client, _ = house.connect(refresh, auth=door)
    client.send_text("ask")
    wait_until(lambda: len(asked) > 1)

    other.send_text("still here")
    assert other.read_text() == "still here"


def test_a_log_whose_filter_ends_the_program_does_not(
    house: House, log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    def leave(record: logging.LogRecord) -> bool:
        raise SystemExit("from a filter")

    def complain(connection: Any, event: str, data: str) -> None:
        log(connection, event, data)
        raise ValueError(event)

    logger = logging.getLogger("tina4_wsgi.connection")
    logger.addFilter(leave)
    try:
        client, _ = house.connect(complain)
        log.wait_for("open")
        assert client.read_close() == 1011
        client.send_close(1011)
        log.wait_for("close")
        wait_until(lambda: not house.process.connection_count)
    finally:
        logger.removeFilter(leave)

    assert capsys.readouterr().err.count("SystemExit: from a filter") == 2


def test_a_real_interrupt_reaches_the_main_greenlet_out_of_a_callback(house: House) -> None:
    def interrupt(connection: Any, event: str, data: str) -> None:
        if event == "message":
            signal.raise_signal(signal.SIGINT)
            connection.send("not here")

    client, _ = house.connect(interrupt)
    client.send_text("a")

    with pytest.raises(KeyboardInterrupt):
        gevent.sleep(WAIT_S)
    client.send_close()
    assert client.read_close() == 1000


@pytest.mark.parametrize("batch", ["a path", "a room", "single sends"])
def test_one_member_that_fails_costs_the_others_of_its_batch_nothing(
    house: House, batch: str, caplog: pytest.LogCaptureFixture
) -> None:
    pairs = [house.connect(quiet, wrap=wrap) for wrap in (Broken, None, None)]
    gevent.sleep(0)
    for _, connection in pairs:
        connection.join("r")
    broken = pairs[0][1]._lifecycle.transport

    if batch == "a path":
        pairs[1][1].broadcast("all")
    elif batch == "a room":
        pairs[1][1].broadcast_to_room("r", "all")
    else:
        for _, connection in pairs:
            connection.send("all")

    assert [client.read_text() for client, _ in pairs[1:]] == ["all", "all"]
    wait_until(lambda: not broken.is_open)
    assert [record.getMessage() for record in caplog.records if record.exc_info] == [
        "connection to /ws/test failed"
    ]


class Broken:
    """A socket that fails in a way nobody foresaw."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def send(self, data: bytes) -> int:
        raise LookupError("a mistake of ours")


class Alarm:
    """Something with a deadline that has passed."""

    def __init__(self, rings: Callable[[], object]) -> None:
        self.due_s = 0.0
        self._rings = rings
        self.errors: list[BaseException] = []

    def on_due(self, now_s: float) -> None:
        self.due_s = now_s + 600
        self._rings()

    def failed(self, error: BaseException) -> None:
        self.errors.append(error)


@pytest.mark.parametrize("error", [LookupError("ours"), SystemExit(1), MemoryError()])
def test_a_deadline_that_fails_keeps_no_other_from_being_looked_at(error: BaseException) -> None:
    rang, swept = Event(), Event()
    alarms = [Alarm(raiser(error)), Alarm(rang.set)]
    sweeper = Sweeper(gevent.get_hub().loop, alarms, lambda: swept.set() or False)

    sweeper.wake()
    assert swept.wait(WAIT_S)
    sweeper.close()

    assert rang.is_set()
    assert [alarm.errors for alarm in alarms] == [[error], []]


def test_a_client_that_leaves_behind_a_backlog_gets_all_of_it_and_the_close_frame(
    house: House, log: Log
) -> None:
    def flood(connection: Any, event: str, data: str) -> None:
        log(connection, event, data)
        if event == "message":
            connection.send(b"x" * 300_000)

    client, connection = house.connect(flood, send_buffer=SMALL_BUFFER, close_timeout_s=600)
    client.send_text("a")
    log.wait_for("message")
    client.send_close(1000)
    log.wait_for("close")
    assert connection._lifecycle.transport.queued_bytes > 200_000

    assert client.read_frame() == (0x80 | BINARY, b"x" * 300_000)
    assert client.read_close() == 1000
    assert client.read_to_end() == b""
    client.close()
    wait_until(lambda: not house.engine.connections)


def test_a_callback_that_works_for_long_is_not_idle(house: House) -> None:
    began, release = Event(), Event()

    def slow(connection: Any, event: str, data: str) -> None:
        if event == "message":
            began.set()
            release.wait()

    client, connection = house.connect(slow, idle_timeout_s=0.2)
    client.send_text("a")
    began.wait()
    first_due_s = connection._lifecycle.due_s
    wait_until(lambda: connection._lifecycle.due_s > first_due_s)
    assert not connection.closed

    release.set()
    assert client.read_close() == 1000
    assert connection.close_reason == "idle"


def test_who_is_leaving_already_is_not_dismissed_again(house: House) -> None:
    release = Event()

    def leave(connection: Any, event: str, data: str) -> None:
        if event == "message":
            connection.close(4000, "by itself")
            release.wait()

    client, connection = house.connect(leave)
    client.send_text("a")
    assert client.read_close() == 4000

    house.process.dismiss(1001, "going away")
    release.set()
    client.send_close(4000)

    wait_until(lambda: not house.engine.connections)
    assert (connection.close_code, connection.close_reason) == (4000, "by itself")
    assert client.read_to_end() == b""


class Doorkeeper:
    """An `auth` that is asked all the time, and answers whatever it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: BaseException | None = None

    def __call__(self, request: Any) -> str:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return f"ada {self.asked}"


def test_a_login_is_checked_again_behind_the_callback_that_runs(house: House) -> None:
    began, release, door = Event(), Event(), Doorkeeper()

    def slow(connection: Any, event: str, data: str) -> None:
        if event == "message":
            began.set()
            release.wait()
            connection.send(f"{door.asked}")

    client, connection = house.connect(slow, auth=door, reauth_every=0.1)
    client.send_text("a")
    began.wait()
    due_s = connection._lifecycle.due_s
    wait_until(lambda: connection._lifecycle.due_s > due_s)
    asked = door.asked
    release.set()

    assert client.read_text() == f"{asked}"
    wait_until(lambda: door.asked > asked)
    assert connection.auth.startswith("ada")


def test_who_has_left_is_not_asked_for_a_login_again(house: House) -> None:
    door = Doorkeeper()

    def leave(connection: Any, event: str, data: str) -> None:
        if event == "message":
            due_s = connection._lifecycle.due_s
            wait_until(lambda: connection._lifecycle.due_s > due_s)
            connection.close(4000)
            asked.append(door.asked)

    asked: list[int] = []
    client, _ = house.connect(leave, auth=door, reauth_every=0.1)
    client.send_text("a")

    assert client.read_close() == 4000
    client.send_close(4000)
    wait_until(lambda: not house.engine.connections)
    assert [door.asked] == asked


def test_a_login_check_that_is_killed_leaves_the_connection_open(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    door = Doorkeeper()
    door.error = GreenletExit()
    _, connection = house.connect(quiet, auth=door, reauth_every=0.1)

    wait_until(lambda: door.asked > 1)
    wait_until(lambda: caplog.messages)

    assert not connection.closed
    assert (
        f"callback of /ws/test was killed at 'auth', connection {connection.id}" in caplog.messages
    )


def test_a_sender_whose_place_in_the_queue_was_filled_by_broadcasts_does_not_stop_the_loop(
    house: House,
) -> None:
    client, connection = house.connect(quiet, max_outbound_bytes=20_000)

    def first() -> None:
        connection.send(b"1" * 1_000_000)
        # Of these nothing is offered to the kernel before the turn ends; the second one goes on
        # within this turn.
        connection.broadcast(b"3" * 30_000)
        connection.broadcast(b"for others", exclude_self=True)

    # Both wait until the last of the second one's bytes has left.
    senders = [gevent.spawn(first), gevent.spawn(connection.send, b"2" * 30_000)]

    assert [client.read_frame().payload[:1] for _ in range(3)] == [b"1", b"2", b"3"]
    gevent.joinall(senders, timeout=WAIT_S, raise_error=True)


def test_a_broadcast_to_a_room_closes_a_slow_member_and_only_it(house: House) -> None:
    slow, slow_connection = house.connect(
        quiet, "/ws/slow", send_buffer=SMALL_BUFFER, max_outbound_bytes=65_536
    )
    fast, connection = house.connect(quiet, "/ws/fast")
    slow_connection.join("r")
    connection.join("r")

    for _ in range(100):
        connection.broadcast_to_room("r", b"y" * 4_000)
        assert fast.read_frame().payload == b"y" * 4_000

    assert slow_connection.closed
    frames = [slow.read_frame()]
    while frames[-1].opcode != CLOSE:
        frames.append(slow.read_frame())
    assert frames[-1].close_code == 1013
    assert {frame.payload for frame in frames[:-1]} == {b"y" * 4_000}


def test_a_connection_is_shown_with_its_path_and_whether_it_is_over(house: House) -> None:
    _, connection = house.connect(quiet)
    assert repr(connection) == f"<Connection {connection.id} on /ws/test>"

    connection.close()

    assert repr(connection) == f"<Connection {connection.id} on /ws/test closed>"


def test_a_flush_that_finds_nothing_left_is_not_measured(make_house: Callable[..., House]) -> None:
    house = make_house(metrics="/metrics")
    client, connection = house.connect(quiet)

    connection.broadcast(b"x" * 300_000)  # left at once: too much to wait for the end of the turn
    assert client.read_frame().payload == b"x" * 300_000
    connection.broadcast(b"y")
    assert client.read_frame().payload == b"y"

    meter = house.engine.meter
    assert meter is not None
    assert sum(meter.fanout.counts) == 1


def test_a_drain_at_the_end_of_the_program_that_fails_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def drain(timeout_s: float, *, is_hurried: bool = False) -> None:
        raise LookupError("a mistake of ours")

    guard = StopGuard(drain, 1.0)
    guard._at_exit()
    guard.dismiss()

    assert [(one.getMessage(), one.levelname) for one in caplog.records] == [
        ("draining at exit failed", "ERROR")
    ]


# Which KeyboardInterrupt is ^C


def caught(function: Callable[[], object]) -> BaseException:
    try:
        function()
    except BaseException as exc:  # noqa: BLE001
        return exc
    raise AssertionError("nothing was raised")


def raise_one() -> None:
    raise KeyboardInterrupt


def be_interrupted() -> None:
    signal.raise_signal(signal.SIGINT)
    while True:
        pass


def placed_at(offset: int) -> BaseException:
    """An interrupt of this function at an instruction that it doesn't have."""
    frame = sys._getframe()
    place = TracebackType(None, frame, offset, frame.f_lineno)
    return KeyboardInterrupt().with_traceback(place)


@pytest.mark.parametrize(
    ("error", "is_it"),
    [
        (caught(be_interrupted), True),
        (KeyboardInterrupt(), True),
        (caught(raise_one), False),
        (caught(lambda: raise_one()), False),
        (placed_at(-2), False),
        (placed_at(-1), False),
        (placed_at(len(placed_at.__code__.co_code)), False),
        (placed_at(0), True),
        (SystemExit(), False),
        (LookupError(), False),
    ],
)
def test_only_an_interrupt_that_no_code_raised_is_one(error: BaseException, is_it: bool) -> None:
    assert mishaps.is_interrupt(error) is is_it


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda number, frame: None])
def test_where_a_server_handles_sigint_itself_no_interrupt_is_one(handler: Any) -> None:
    before = signal.signal(signal.SIGINT, handler)
    try:
        assert not mishaps.is_interrupt(KeyboardInterrupt())
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_reported_error_is_logged_later_with_its_place_and_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = caught(lambda: int("x"))

    mishaps.report(logging.getLogger("tina4_wsgi.engine"), "%s failed", "it", error=error)
    assert caplog.records == []
    gevent.sleep(0)

    (record,) = caplog.records
    assert (record.getMessage(), record.levelname) == ("it failed", "ERROR")
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_a_log_line_names_who_logged_it(caplog: pytest.LogCaptureFixture) -> None:
    mishaps.log(logging.getLogger("tina4_wsgi.engine"), logging.WARNING, "hello %d", 7)

    (record,) = caplog.records
    assert (record.funcName, record.exc_info) == ("test_a_log_line_names_who_logged_it", None)


def test_an_error_is_shown_with_where_it_came_from(capfd: pytest.CaptureFixture[str]) -> None:
    mishaps.show("the pool", caught(lambda: int("x")))

    shown = capfd.readouterr().err
    assert "the pool failed with ValueError" in shown
    assert "in caught" in shown


@pytest.mark.parametrize("pass_on", [mishaps.show, lambda where, error: report_it(error)])
def test_an_interrupt_goes_to_the_main_greenlet(pass_on: Callable[..., object]) -> None:
    with pytest.raises(KeyboardInterrupt):
        gevent.spawn(pass_on, "the pool", caught(be_interrupted)).join()


def report_it(error: BaseException) -> None:
    mishaps.report(logging.getLogger("tina4_wsgi.engine"), "interrupted", error=error)
