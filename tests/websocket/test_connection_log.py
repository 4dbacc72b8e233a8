"""What the log says of connections: one line for each thing that happens to one."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from greenlet import GreenletExit

from tests.support.engine_house import House, Log, wait_until
from tina4_wsgi.websocket.opening_handshake import OpeningHandshake


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Give what the log of connections says, from INFO on."""
    caplog.set_level(logging.INFO, "tina4_wsgi.connection")
    return lambda: [
        f"{record.levelname} {record.getMessage()}"
        for record in caplog.records
        if record.name == "tina4_wsgi.connection"
    ]


def test_a_connection_is_logged_as_it_begins_and_ends(
    house: House, log: Log, lines: Callable[[], list[str]]
) -> None:
    client, connection = house.connect(log)
    log.wait_for("open")
    assert lines() == [f"INFO open {connection.id} '/ws/test' from 127.0.0.1"]

    for _ in range(2):
        client.send_text("hi")
    client.send_close(4_001)
    log.wait_for("close")

    (end,) = lines()[1:]
    assert re.fullmatch(
        rf"INFO close {connection.id} '/ws/test' 4001 after 0\.\d s, 2 messages", end
    )


def test_a_client_without_an_address_came_by_a_local_socket(
    house: House,
    log: Log,
    lines: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(OpeningHandshake, "ip", "")

    house.connect(log)
    log.wait_for("open")

    assert lines()[0].endswith("'/ws/test' from a local socket")


def test_a_fault_of_the_peer_is_logged_as_a_warning_with_what_it_was(
    house: House, log: Log, lines: Callable[[], list[str]]
) -> None:
    client, connection = house.connect(log)

    client.send_bytes(b"\x81\x01a")  # not masked
    log.wait_for("close")

    failed, end = lines()[1:]
    assert failed.startswith(f"WARNING failed {connection.id} '/ws/test' from 127.0.0.1: 1002 ")
    assert " 1002 after " in end
    assert not connection._lifecycle.was_closed_by_peer


def test_by_default_only_faults_are_logged(
    house: House, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    client, _ = house.connect(log)
    client.send_close()
    log.wait_for("close")

    assert caplog.records == []


def test_a_killed_callback_is_a_warning_and_a_failed_one_an_error_that_is_counted(
    house: House, log: Log, lines: Callable[[], list[str]]
) -> None:
    def fail(connection: Any, event: str, data: str) -> None:
        log(connection, event, data)
        if event == "message":
            raise GreenletExit if data == "killed" else LookupError(data)

    client, connection = house.connect(fail)
    client.send_text("killed")
    client.send_text("failed")
    wait_until(lambda: len(log) == 3)
    gevent.sleep(0)

    assert lines()[1:] == [
        f"WARNING callback of /ws/test was killed at 'message', connection {connection.id}",
        f"ERROR callback of /ws/test raised at 'message', connection {connection.id}",
    ]
    assert connection._lifecycle.service.tally.error_count == 1
    assert not connection.closed


def test_sending_after_the_end_is_no_error_of_the_callback(
    house: House, log: Log, lines: Callable[[], list[str]]
) -> None:
    def close_and_send(connection: Any, event: str, data: str) -> None:
        log(connection, event, data)
        if event == "message":
            connection.close(4_000)
            connection.send("too late")

    client, connection = house.connect(close_and_send)
    client.send_text("go")
    assert client.read_close() == 4_000
    client.send_close(4_000)
    log.wait_for("close")

    assert [line.split()[1] for line in lines()] == ["open", "close"]
    assert connection._lifecycle.service.tally.error_count == 0


def test_that_another_connection_is_closed_is_one(
    house: House, log: Log, lines: Callable[[], list[str]]
) -> None:
    _, other = house.connect(lambda *_: None)
    other.close()

    def send_to_the_other(connection: Any, event: str, data: str) -> None:
        log(connection, event, data)
        if event == "message":
            other.send("hello?")

    client, connection = house.connect(send_to_the_other)
    client.send_text("go")
    log.wait_for("message")
    gevent.sleep(0)

    assert lines()[-1].startswith("ERROR callback of /ws/test raised at 'message'")
    assert connection._lifecycle.service.tally.error_count == 1
