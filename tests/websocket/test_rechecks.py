"""A login that was revoked ends between two callbacks, however many messages wait behind it."""

from __future__ import annotations

import time
from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.support.engine_house import House, wait_until
from tests.support.raw import TEXT, client_frame

EVERY_S = 0.2
MANY = 50


class Door:
    """An `auth` that lets everybody in until the login is revoked."""

    def __init__(self) -> None:
        self.is_revoked = False
        self.asked = 0

    def __call__(self, request: Any) -> str | None:
        self.asked += 1
        return None if self.is_revoked else "ada"


def work_by_waiting() -> None:
    gevent.sleep(EVERY_S / 4)


def work_by_computing() -> None:
    """Give nobody else a turn, so that no timer is looked at either."""
    until_s = time.thread_time() + EVERY_S / 4
    while time.thread_time() < until_s:
        pass


@pytest.mark.parametrize("work", [work_by_waiting, work_by_computing])
def test_of_a_long_queue_only_what_is_due_before_the_check_is_handled(
    house: House, work: Any
) -> None:
    door, handled = Door(), []

    def callback(connection: Any, event: str, data: str) -> None:
        if event == "message":
            handled.append(data)
            door.is_revoked = True
            work()

    client, connection = house.connect(
        callback, auth=door, reauth_every=EVERY_S, max_inbound_messages=MANY
    )
    client.send_bytes(b"".join(client_frame(TEXT, str(n).encode()) for n in range(MANY)))

    assert client.read_close() == 4401
    # A quarter of the interval each; the sweeper, where it has a turn, looks four times a second.
    assert len(handled) < MANY / 2
    assert connection._lifecycle.waiting_count == 0


@pytest.mark.parametrize("event", ["open", "message"])
def test_a_long_callback_is_followed_by_the_check_before_the_next(house: House, event: str) -> None:
    door, handled, release = Door(), [], Event()

    def callback(connection: Any, name: str, data: str) -> None:
        handled.append((name, data))
        if name == event:
            release.wait()

    client, connection = house.connect(callback, auth=door, reauth_every=EVERY_S)
    client.send_bytes(client_frame(TEXT, b"first") + client_frame(TEXT, b"second"))
    wait_until(lambda: handled and handled[-1][0] == event)
    due_s = connection._lifecycle.due_s
    wait_until(lambda: connection._lifecycle.due_s > due_s)  # the check is due
    door.is_revoked = True
    release.set()

    assert client.read_close() == 4401
    assert [one for one in handled if one[0] != "close"][-1][0] == event
    assert ("message", "second") not in handled


def test_a_queue_whose_login_stands_is_handled_to_its_end(house: House) -> None:
    door, handled = Door(), []

    def callback(connection: Any, event: str, data: str) -> None:
        if event == "message":
            handled.append(data)
            work_by_computing()

    client, _ = house.connect(callback, auth=door, reauth_every=EVERY_S / 4)
    client.send_bytes(b"".join(client_frame(TEXT, str(n).encode()) for n in range(8)))
    wait_until(lambda: len(handled) == 8)

    assert handled == [str(n) for n in range(8)]
    assert door.asked >= 7  # behind each of them


def test_a_route_without_rechecks_is_asked_once_at_most(house: House) -> None:
    door = Door()
    client, _ = house.connect(lambda connection, event, data: connection.send(data), auth=door)

    for text in "abc":
        client.send_text(text)

    assert [client.read_text() for _ in range(4)] == ["", "a", "b", "c"]
    assert door.asked == 0
