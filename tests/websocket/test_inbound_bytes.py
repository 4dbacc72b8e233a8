"""What clients may have wait for slow callbacks is bounded in bytes: for each of them, and for all
together.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.support.engine_house import House, wait_until
from tests.support.raw import BINARY, CONTINUATION, TEXT, RawClient, client_frame
from tina4_wsgi.websocket.connection import Connection

KIB = 1_024
PIECE = 8 * KIB
MOST = 64 * KIB
READ = 64 * KIB  # what a transport takes from a socket at once


class Slow:
    """A callback that waits for its gate at each message, and counts what it was given."""

    def __init__(self) -> None:
        self.gate = Event()
        self.sizes: list[int] = []

    def __call__(self, connection: Connection, event: str, data: str | bytes) -> None:
        if event == "message":
            self.gate.wait()
            self.sizes.append(len(data))


@pytest.fixture
def slow() -> Slow:
    return Slow()


def flood(client: RawClient, frames: bytes) -> gevent.Greenlet:
    """Send all of it, as far as the kernel and the server take it; the test goes on meanwhile."""

    def send() -> None:
        with contextlib.suppress(OSError):
            client.socket.sendall(frames)

    return gevent.spawn(send)


def compressed(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def stops(connection: Connection) -> None:
    wait_until(lambda: connection._lifecycle.transport.is_paused)


FRAMES = {
    "binary": client_frame(BINARY, bytes(PIECE)),
    "text": client_frame(TEXT, b"x" * PIECE),
    "short": client_frame(TEXT, b"x" * 100) * (PIECE // 100),
    "fragments": client_frame(BINARY, bytes(PIECE // 2), fin=False)
    + client_frame(CONTINUATION, bytes(PIECE // 2)),
    "deflate": client_frame(0x40 | BINARY, compressed(bytes(PIECE))),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_reading_stops_at_the_limit_and_goes_on_when_the_queue_was_handled(
    house: House, slow: Slow, frame: bytes
) -> None:
    client, connection = house.connect(
        slow,
        window_bits=15,
        max_inbound_bytes=MOST,
        max_inbound_messages=100_000,
        max_deflate_ratio=0,
    )
    sending = flood(client, frame * 100)

    stops(connection)
    assert MOST <= house.engine.inbound_bytes <= MOST + PIECE + READ

    slow.gate.set()
    sending.join()
    wait_until(lambda: sum(slow.sizes) >= 100 * (PIECE // 100 * 100))
    wait_until(lambda: not connection._lifecycle.transport.is_paused)
    assert house.engine.inbound_bytes == 0


def test_one_message_of_any_length_fits(house: House, slow: Slow) -> None:
    client, _ = house.connect(slow, max_inbound_bytes=KIB, max_message_bytes=1 << 20)
    slow.gate.set()

    flood(client, client_frame(BINARY, bytes(1 << 20)) * 3)

    wait_until(lambda: slow.sizes == [1 << 20] * 3)


def test_a_message_under_way_counts_and_is_read_on_when_nothing_waits(
    house: House, slow: Slow
) -> None:
    client, connection = house.connect(slow, max_inbound_bytes=KIB, max_message_bytes=1 << 20)
    first = client_frame(BINARY, bytes(100 * KIB), fin=False)

    flood(client, first)
    wait_until(lambda: house.engine.inbound_bytes >= 100 * KIB)
    assert not connection._lifecycle.transport.is_paused

    slow.gate.set()
    client.send_bytes(client_frame(CONTINUATION, b"end"))
    wait_until(lambda: slow.sizes == [100 * KIB + 3])
    assert house.engine.inbound_bytes == 0


def test_beyond_the_budget_of_the_worker_those_whose_callbacks_are_slow_are_not_read(
    make_house: Callable[..., House], slow: Slow
) -> None:
    house = make_house(max_worker_inbound_bytes=4 * MOST)
    pairs = [house.connect(slow) for _ in range(12)]
    for client, _ in pairs:
        flood(client, client_frame(BINARY, bytes(PIECE)) * 30)

    wait_until(
        lambda: sum(connection._lifecycle.transport.is_paused for _, connection in pairs) >= 4
    )
    gevent.sleep(0.05)
    assert house.engine.inbound_bytes <= 4 * MOST + len(pairs) * (PIECE + READ)

    def echo(connection: Any, event: str, data: str) -> None:
        if event == "message":
            connection.send(data)

    quick, _ = house.connect(echo)
    quick.send_text("not held up")
    assert quick.read_text() == "not held up"

    slow.gate.set()
    wait_until(lambda: len(slow.sizes) == 12 * 30)
    assert house.engine.inbound_bytes == 0


def close_from_here(client: RawClient, connection: Connection) -> None:
    connection.close(4000)


def hang_up(client: RawClient, connection: Connection) -> None:
    client.close()


def reset(client: RawClient, connection: Connection) -> None:
    client.reset()


def abort(client: RawClient, connection: Connection) -> None:
    connection._lifecycle.transport.abort()


def break_the_protocol(client: RawClient, connection: Connection) -> None:
    connection._lifecycle.failed(LookupError("ours"))


@pytest.mark.parametrize("end", [close_from_here, hang_up, reset, abort, break_the_protocol])
@pytest.mark.parametrize("is_under_way", [False, True])
def test_nothing_stays_counted_when_a_connection_ends(
    house: House, slow: Slow, end: Callable[[RawClient, Connection], None], is_under_way: bool
) -> None:
    client, connection = house.connect(slow, max_inbound_bytes=MOST, close_timeout_s=0.1)
    frames = client_frame(BINARY, bytes(PIECE)) * 3
    if is_under_way:
        frames += client_frame(BINARY, bytes(PIECE), fin=False)
    flood(client, frames)
    wait_until(lambda: house.engine.inbound_bytes >= (4 if is_under_way else 3) * PIECE)

    end(client, connection)
    slow.gate.set()

    wait_until(lambda: not house.engine.connections)
    assert house.engine.inbound_bytes == 0
