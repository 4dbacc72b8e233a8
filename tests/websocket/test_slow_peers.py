"""Readers that don't read, writers that don't stop, peers that fall silent."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from tests.support.engine_house import SMALL_BUFFER, House, Log, quiet
from tests.support.raw import PING, PONG, TEXT, client_frame
from tina4_wsgi.errors import ConnectionClosed


def test_send_waits_for_a_slow_reader_and_nothing_is_lost(house: House) -> None:
    def flood(connection: Any, event: str, data: str) -> None:
        if event == "open":
            for number in range(200):
                connection.send(f"{number:5}" + "x" * 4_000)

    client, connection = house.connect(flood, send_buffer=SMALL_BUFFER, max_outbound_bytes=8_192)
    gevent.sleep(0.05)
    assert connection._lifecycle.transport.queued_bytes < 8_192 + 4_100

    assert [int(client.read_text()[:5]) for _ in range(200)] == list(range(200))


def test_a_reader_that_takes_nothing_makes_send_raise_after_its_timeout(house: House) -> None:
    raised: list[ConnectionClosed] = []

    def flood(connection: Any, event: str, data: str) -> None:
        if event == "open":
            try:
                while True:
                    connection.send("x" * 4_000)
            except ConnectionClosed as exc:
                raised.append(exc)

    _, connection = house.connect(
        flood,
        send_buffer=SMALL_BUFFER,
        max_outbound_bytes=8_192,
        send_timeout_s=0.3,
        close_timeout_s=0.3,
    )
    while house.engine.connections:
        gevent.sleep(0.01)

    assert [error.code for error in raised] == [1013]
    assert connection.close_code == 1013


def test_a_broadcast_over_the_limit_closes_the_slow_member_and_only_it(house: House) -> None:
    slow, slow_connection = house.connect(
        quiet, send_buffer=SMALL_BUFFER, max_outbound_bytes=65_536
    )
    fast, connection = house.connect(quiet)
    reader = gevent.spawn(lambda: [fast.read_text() for _ in range(100)])
    for _ in range(100):
        connection.broadcast("y" * 4_000)
        gevent.sleep(0)

    assert len(reader.get(timeout=5)) == 100
    assert slow_connection.closed
    frames = [slow.read_frame()]
    while frames[-1].opcode != 8:
        frames.append(slow.read_frame())
    assert frames[-1].close_code == 1013
    assert all(frame.payload == b"y" * 4_000 for frame in frames[:-1])


@pytest.mark.parametrize("on_slow", ["drop_newest", "drop_oldest"])
def test_a_slow_member_may_lose_broadcasts_instead_of_the_connection(
    house: House, on_slow: str
) -> None:
    slow, connection = house.connect(
        quiet,
        send_buffer=SMALL_BUFFER,
        max_outbound_bytes=65_536,
        on_slow=on_slow,
        send_timeout_s=60,
    )
    for number in range(100):
        connection.broadcast(f"{number:05}" + "y" * 4_000)
        gevent.sleep(0)
    connection.send("direct")
    assert connection._lifecycle.transport.queued_bytes < 65_536 + 4_100
    assert house.engine.drops_for_slow > 5

    heard = []
    while (text := slow.read_text()) != "direct":
        assert text[5:] == "y" * 4_000
        heard.append(int(text[:5]))
    assert heard == sorted(set(heard))
    assert (heard[-1] == 99) == (on_slow == "drop_oldest")
    assert heard[0] == 0
    assert not connection.closed


def test_a_peer_that_says_nothing_is_closed_after_the_idle_timeout(house: House, log: Log) -> None:
    client, connection = house.connect(log, idle_timeout_s=0.6)
    talker, talking = house.connect(log, idle_timeout_s=0.6)
    while not connection.closed:
        talker.send_text("x")
        gevent.sleep(0.01)

    assert not talking.closed
    assert client.read_close() == 1000
    assert (connection.close_code, connection.close_reason) == (1000, "idle")
    assert talker.read_close() == 1000


def test_one_message_larger_than_the_limit_reaches_a_member_that_reads(house: House) -> None:
    client, connection = house.connect(quiet, max_outbound_bytes=65_536)
    text = "z" * 3_000_000

    connection.broadcast(text)

    assert client.read_text() == text


def test_a_writer_that_never_reads_the_answers_is_read_no_further(house: House) -> None:
    def echo(connection: Any, event: str, data: str) -> None:
        if event == "message":
            connection.send(data)

    client, connection = house.connect(echo, max_outbound_bytes=65_536, send_timeout_s=60)
    client.socket.setblocking(False)
    frame = client_frame(TEXT, b"x" * 4_000)
    sent = 0
    with gevent.Timeout(1.0, False):
        while True:
            try:
                sent += client.socket.send(frame)
            except BlockingIOError:
                gevent.sleep(0.001)

    assert sent < 4_000_000
    assert connection._lifecycle.transport.queued_bytes < 65_536 + 65_536
    assert connection._lifecycle.transport.is_paused


def test_callbacks_for_what_was_left_over_at_the_limit_may_wait_too(house: House) -> None:
    def echo(connection: Any, event: str, data: str) -> None:
        if event == "message":
            gevent.sleep(0.001)
            connection.send(data)

    client, _ = house.connect(echo, max_inbound_messages=1)

    client.send_bytes(b"".join(client_frame(TEXT, bytes([digit])) for digit in b"123"))

    assert [client.read_text() for _ in range(3)] == ["1", "2", "3"]


def test_while_callbacks_are_slow_at_most_the_inbound_limit_waits(house: House) -> None:
    release = gevent.event.Event()
    seen: list[str] = []

    def slow(connection: Any, event: str, data: str) -> None:
        if event == "message":
            release.wait()
            seen.append(data)

    client, connection = house.connect(slow, max_inbound_messages=8)
    client.send_bytes(b"".join(client_frame(TEXT, str(n).encode()) for n in range(1_000)))
    gevent.sleep(0.05)
    assert len(connection._lifecycle._inbound) <= 8
    assert connection._lifecycle.transport.is_paused

    release.set()
    while len(seen) < 1_000:
        gevent.sleep(0)
    assert seen == [str(n) for n in range(1_000)]


def test_a_client_that_pipelines_without_end_leaves_turns_to_others(house: House) -> None:
    def echo(connection: Any, event: str, data: str) -> None:
        if event == "message":
            connection.send(data)

    greedy, _ = house.connect(echo, "/ws/greedy")
    modest, _ = house.connect(echo, "/ws/modest")
    greedy.send_bytes(client_frame(TEXT, b"g") * 9_000)
    modest.send_text("m")

    assert modest.read_text() == "m"
    assert [greedy.read_text() for _ in range(9_000)] == ["g"] * 9_000


def test_pings_are_answered_in_order_with_their_payloads(house: House) -> None:
    client, _ = house.connect(quiet)

    client.send_bytes(b"".join(client_frame(PING, bytes([n])) for n in range(10)))

    assert [client.read_frame() for _ in range(10)] == [
        (0x80 | PONG, bytes([n])) for n in range(10)
    ]


def test_while_output_is_stuck_only_the_latest_pong_is_kept(house: House) -> None:
    client, connection = house.connect(quiet, send_buffer=SMALL_BUFFER, max_outbound_bytes=1 << 20)
    connection.broadcast("x" * 400_000)
    gevent.sleep(0)
    for n in range(50):
        client.send_frame(PING, bytes([n]))
        gevent.sleep(0)

    assert len(client.read_text()) == 400_000
    assert client.read_frame() == (0x80 | PONG, b"\x31")
    client.send_frame(PING, b"next")
    assert client.read_frame() == (0x80 | PONG, b"next")


def test_a_silent_peer_is_pinged_and_given_up_with_1006(
    make_house: Callable[..., House], log: Log
) -> None:
    house = make_house(ping_interval_s=0.2, pong_timeout_s=0.2)
    client, connection = house.connect(log)

    assert client.read_frame() == (0x80 | PING, b"")
    log.wait_for("close")

    assert connection.close_code == 1006
    assert connection.close_reason == "no pong"


def test_a_peer_that_answers_pings_stays(make_house: Callable[..., House], log: Log) -> None:
    house = make_house(ping_interval_s=0.1, pong_timeout_s=0.1)
    client, connection = house.connect(log)

    for _ in range(4):
        assert client.read_frame().opcode == PING
        client.send_frame(PONG)

    assert not connection.closed


def test_thousands_are_not_pinged_at_the_same_moment(house: House) -> None:
    dues = {house.connect(quiet)[1]._lifecycle.due_s for _ in range(20)}

    assert max(dues) - min(dues) > 1.0
    assert max(dues) < time.monotonic() + house.config.ping_interval_s


@pytest.mark.parametrize("wrong", [1, 1.5, None, {"a"}, ("a",)])
def test_send_names_what_it_was_given_instead_of_a_message(house: House, wrong: Any) -> None:
    _, connection = house.connect(quiet)

    with pytest.raises(ValueError, match=type(wrong).__name__):
        connection.send(wrong)


def test_a_broadcast_that_just_fits_behind_what_may_not_be_dropped_is_queued(house: House) -> None:
    most = 3_000_000
    _, connection = house.connect(
        quiet, send_buffer=SMALL_BUFFER, max_outbound_bytes=most, on_slow="drop_oldest"
    )
    connection.send("x" * 1_000_000)
    gevent.sleep(0)
    room = most - connection._lifecycle.transport.queued_bytes
    assert 0 < room < most

    fits = [connection._lifecycle.overflowed(size) for size in (room, room + 1)]

    assert fits == [True, False]
    assert house.engine.drops_for_slow == 2
