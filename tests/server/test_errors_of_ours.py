"""Errors of ours in the hub, put into an engine that is not compiled: a compiled one lets nobody
in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.support.engine_house import WAIT_S, House, Log
from tests.support.raw import TEXT, client_frame


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.leave()


class Failing:
    """Stands for an error of ours in the middle of reading."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def feed_raw(self, raw: bytes, size: int, messages: Any) -> None:
        raise MemoryError


def test_an_error_of_ours_while_reading_ends_the_connection(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log()
    client, connection = house.connect(log)
    connection._lifecycle._session = Failing(connection._lifecycle._begin_session())

    client.send_text("a")
    log.wait_for("close")

    assert (connection.close_code, client.read_to_end()) == (1006, b"")
    assert [record.getMessage() for record in caplog.records if record.exc_info] == [
        "connection to /ws/test failed"
    ]


def test_an_error_of_ours_after_a_pause_ends_the_connection(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    release, log = Event(), Log()

    def slow(connection: Any, event: str, data: str) -> None:
        log(connection, event, data)
        if event == "message":
            release.wait()

    client, connection = house.connect(slow, max_inbound_messages=2)
    client.send_bytes(client_frame(TEXT, b"a") * 5)
    with gevent.Timeout(WAIT_S):
        while not connection._lifecycle.transport.is_paused:
            gevent.sleep(0.002)

    connection._lifecycle._session = Failing(connection._lifecycle._session)
    release.set()
    log.wait_for("close")

    assert connection.close_code == 1006
    assert [record.getMessage() for record in caplog.records if record.exc_info] == [
        "connection to /ws/test failed"
    ]
