"""A drain tells everybody at a moment of its own and when to come back, and waits for nobody in
vain.
"""

from __future__ import annotations

import re
from typing import Any

import gevent
from gevent.event import Event

from tests.support.deadline import NEVER_S
from tests.support.engine_house import House
from tests.support.raw import CLOSE, RawClient
from tina4_wsgi.engine.draining import going_away

HINT = re.compile(r"going away; retry in (\d{1,6}) ms")


def echo(connection: Any, event: str, data: str) -> None:
    if event == "message":
        connection.send(data)


def goodbye(client: RawClient) -> str:
    """Read the close frame, answer it, and give its reason."""
    frame = client.read_frame()
    assert frame.opcode == CLOSE
    assert frame.close_code == 1001
    client.send_close(1001)
    return frame.payload[2:].decode()


def is_told(connection: Any) -> bool:
    return bool(connection.closed)


def test_each_client_gets_a_time_of_its_own_to_come_back_at(house: House) -> None:
    clients = [house.connect(echo)[0] for _ in range(10)]
    draining = gevent.spawn(house.engine.drain, 5.0)

    hints = [HINT.fullmatch(goodbye(client)) for client in clients]

    assert draining.get()
    assert all(hint is not None and 250 <= int(hint[1]) <= 1_000 for hint in hints)
    assert len({hint[1] for hint in hints if hint}) > 5


def test_the_time_to_come_back_grows_with_the_clients_up_to_the_setting() -> None:
    waits_ms = [int(re.findall(r"\d+", going_away(15.0))[0]) for _ in range(200)]

    assert 10_000 < max(waits_ms) <= 15_000
    assert min(waits_ms) >= 250


def test_without_a_retry_spread_there_is_no_hint(make_house: Any) -> None:
    house = make_house(retry_spread_s=0)
    client, _ = house.connect(echo)
    gevent.spawn(house.engine.drain, 5.0)

    assert goodbye(client) == "going away"


def test_clients_are_told_in_several_batches(house: House) -> None:
    connections = [house.connect(echo)[1] for _ in range(30)]
    draining = gevent.spawn(house.engine.drain, 5.0, 5.0)
    gevent.sleep(0)

    seen = set()
    while not all(map(is_told, connections)):
        seen.add(sum(map(is_told, connections)))
        gevent.sleep(0.01)

    assert len(seen) > 2
    for client in house.clients:
        goodbye(client)
    assert draining.get()


def test_without_a_spread_all_are_told_at_once(house: House) -> None:
    connections = [house.connect(echo)[1] for _ in range(30)]
    gevent.sleep(0)  # "open" is done

    gevent.spawn(house.engine.drain, 5.0, 0.0)
    gevent.sleep(0)

    assert all(map(is_told, connections))


def test_a_client_whose_turn_has_not_come_is_served(house: House) -> None:
    pairs = [house.connect(echo) for _ in range(100)]
    draining = gevent.spawn(house.engine.drain, 5.0, 5.0)
    gevent.sleep(0)

    client = next(client for client, connection in pairs if not connection.closed)
    client.send_text("still here?")

    assert client.read_text() == "still here?"
    draining.kill()


def test_a_drain_ends_when_everybody_has_left_by_themselves(house: House) -> None:
    for _ in range(100):
        house.connect(echo)
    draining = gevent.spawn(house.engine.drain, 2 * NEVER_S, NEVER_S)
    gevent.sleep(0)

    for client in house.clients:
        client.close()

    assert draining.get()  # which does not wait for the times it was given


def test_a_connection_that_is_taken_on_meanwhile_is_told_too(house: House) -> None:
    release = Event()

    def hold(connection: Any, event: str, data: str) -> None:
        if event == "close":
            release.wait()

    first, _ = house.connect(hold)
    draining = gevent.spawn(house.engine.drain, 5.0)
    goodbye(first)
    late, _ = house.connect(echo)

    assert HINT.fullmatch(goodbye(late))
    release.set()
    assert draining.get()
