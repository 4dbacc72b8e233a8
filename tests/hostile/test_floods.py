"""Floods: of pings, messages, answers nobody reads, and connections. Memory stays flat and others
are served.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

import pytest

from tests.support.hostile import Memory, send_until_stuck
from tests.support.raw import PING, PONG, TEXT, RawClient, client_frame, request_head
from tests.support.site import Site

Dial = Callable[..., RawClient]

PINGS = 100_000
BATCH = 500
ENDLESS_BYTES = 48 << 20  # more than the kernel's buffers hold in both directions
FLAT_BYTES = 8 << 20
CONNECTIONS = 1_000


def ping(number: int) -> bytes:
    """Lay out a ping that can be told from all others, and is as long as may be."""
    return client_frame(PING, (b"%06d" % number).ljust(125, b"."))


def read_pongs(client: RawClient) -> list[int]:
    """Read pongs up to the last ping's, and give their numbers."""
    numbers = [-1]
    while numbers[-1] < PINGS - 1:
        frame = client.read_frame()
        assert frame.opcode == PONG
        numbers.append(int(frame.payload[:6]))
    return numbers[1:]


def test_of_100_000_pings_whose_pongs_are_not_read_the_latest_is_answered(
    dial: Dial, memory: Memory
) -> None:
    client = dial("pinged")
    before = memory.held_bytes()

    for first in range(0, PINGS, BATCH):
        client.send_bytes(b"".join(map(ping, range(first, first + BATCH))))
    grown = memory.held_bytes() - before
    pongs = read_pongs(client)

    assert grown < FLAT_BYTES
    assert pongs == sorted(set(pongs))  # in order, and each at most once
    assert len(pongs) < PINGS  # those that found the output full gave way to later ones
    client.send_text("still here")
    assert client.read_text() == "still here"


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(client_frame(TEXT, b"a") * 5_000, id="tiny texts"),
        pytest.param(client_frame(TEXT) * 5_000, id="empty texts"),
        pytest.param(client_frame(TEXT, bytes(60_000)), id="long texts"),
    ],
)
def test_messages_without_end_for_a_slow_callback_stay_with_their_sender(
    dial: Dial, memory: Memory, arena: Site, tag: str, piece: bytes
) -> None:
    client = dial("napping")
    before = memory.held_bytes()

    taken = send_until_stuck(client, piece, ENDLESS_BYTES)
    grown = memory.held_bytes() - before
    client.reset()
    arena.request("POST", f"/wake/{tag}")

    assert taken < ENDLESS_BYTES
    assert grown < FLAT_BYTES


def test_a_client_that_reads_no_answers_is_not_read_any_further(dial: Dial, memory: Memory) -> None:
    client = dial("generous")
    before = memory.held_bytes()

    taken = send_until_stuck(client, client_frame(TEXT, b"a") * 5_000, ENDLESS_BYTES)
    grown = memory.held_bytes() - before
    client.reset()

    assert taken < ENDLESS_BYTES
    assert grown < FLAT_BYTES


def test_a_client_whose_output_is_full_is_not_read_any_further(
    dial: Dial, memory: Memory, arena: Site, tag: str
) -> None:
    client = dial("full")  # its callback drops messages as fast as they come
    client.read_exactly(1)
    assert arena.request("GET", f"/filled/{tag}") == (200, b"True")
    before = memory.held_bytes()

    taken = send_until_stuck(client, client_frame(TEXT, bytes(60_000)), ENDLESS_BYTES)
    grown = memory.held_bytes() - before
    client.reset()

    assert taken < ENDLESS_BYTES
    assert grown < FLAT_BYTES


def connect_and_reset(address: tuple[str, int], data: bytes) -> None:
    with socket.create_connection(address, 5) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(data)


HANDSHAKE = request_head("/ws/echo/reset", "localhost", "dGhlIHNhbXBsZSBub25jZQ==")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="silent"),
        pytest.param(HANDSHAKE[:40], id="within the handshake"),
        pytest.param(HANDSHAKE, id="behind the handshake"),
        pytest.param(HANDSHAKE + client_frame(TEXT, b"a"), id="behind a message"),
    ],
)
def test_a_thousand_connections_that_are_reset_at_once_leave_nothing(
    arena: Site, data: bytes
) -> None:
    before = arena.wait_for_state(lambda state: state["connections"] == 1)  # the bystander
    log_before = len(arena.server.log)

    for _ in range(CONNECTIONS):
        connect_and_reset(arena.address, data)

    arena.wait_for_state(
        lambda state: state["connections"] == 1 and state["descriptors"] <= before["descriptors"]
    )
    new_log = arena.server.log[log_before:]
    assert "Traceback" not in new_log
    assert "WARNING" not in new_log
    assert "ERROR" not in new_log
