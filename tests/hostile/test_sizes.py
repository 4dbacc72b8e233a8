"""What is too long, too many or too slow is refused or borne at a bounded price in memory and
time.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from tests.support.faults import BOMB, DEFLATE_OFFER
from tests.support.hostile import Memory, close_frame, cpu_s, read_to_fin
from tests.support.raw import BINARY, CONTINUATION, MASK, TEXT, RawClient, client_frame
from tests.support.site import Site

Dial = Callable[..., RawClient]

LIMIT_BYTES = 65_536
FLAT_BYTES = 8 << 20
SINGLE_BYTES = 10_000  # of a message of 64 KiB; more would try the test's own patience
ANNOUNCEMENTS = 50


def in_single_bytes(count: int) -> bytes:
    """Lay out a message in so many fragments of one byte."""
    middle = client_frame(CONTINUATION, b"a", fin=False) * (count - 2)
    return client_frame(TEXT, b"a", fin=False) + middle + client_frame(CONTINUATION, b"a")


def cost_s(arena: Site, client: RawClient, fragments: int) -> float:
    """Send a message in fragments, hear its echo, and give the time that the server took for it."""
    pid = arena.state()["pid"]
    before = cpu_s(pid)
    client.send_bytes(in_single_bytes(fragments))
    assert client.read_text() == "a" * fragments
    return cpu_s(pid) - before


def test_a_message_of_just_the_limit_passes(dial: Dial) -> None:
    client = dial("echo")

    client.send_frame(BINARY, bytes(LIMIT_BYTES))

    assert client.read_frame() == (0x82, bytes(LIMIT_BYTES))


def test_a_message_of_just_the_limit_of_its_route_passes(dial: Dial) -> None:
    client = dial("small")

    client.send_text("a" * 125)

    assert client.read_text() == "a" * 125


def test_as_many_fragments_as_allowed_pass(dial: Dial) -> None:
    client = dial("echo")

    client.send_bytes(in_single_bytes(4_096))

    assert client.read_text() == "a" * 4_096


def test_many_fragments_cost_linear_time_where_the_route_allows_them(
    dial: Dial, arena: Site
) -> None:
    client = dial("fragments")
    cost_s(arena, client, 10_000)

    few_s = min(cost_s(arena, client, 10_000) for _ in range(3))
    many_s = min(cost_s(arena, client, 60_000) for _ in range(2))

    # Quadratic would be 36 times as much. Processor time, for what else runs on the machine would
    # count in any other.
    assert many_s < 6 * 2.5 * few_s


def test_a_message_in_segments_of_one_byte_arrives(dial: Dial) -> None:
    client = dial("echo")
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    frame = client_frame(BINARY, bytes(LIMIT_BYTES))

    for at in range(SINGLE_BYTES):
        client.send_bytes(frame[at : at + 1])
    client.send_bytes(frame[SINGLE_BYTES:])

    assert client.read_frame() == (0x82, bytes(LIMIT_BYTES))


def test_what_is_only_announced_costs_no_memory(dial: Dial, memory: Memory) -> None:
    client = dial("echo")
    client.send_text("warm")
    client.read_text()
    before = memory.held_bytes()

    clients = [dial("echo") for _ in range(ANNOUNCEMENTS)]
    for one in clients:
        one.send_bytes(b"\x82\xff" + LIMIT_BYTES.to_bytes(8, "big") + MASK + b"\x01")
    client.send_text("fence")
    client.read_text()

    assert memory.held_bytes() - before < ANNOUNCEMENTS * LIMIT_BYTES // 4


@pytest.mark.parametrize("times", [1, 10])
def test_a_bomb_of_60_mb_does_not_grow_the_process(dial: Dial, memory: Memory, times: int) -> None:
    assert len(BOMB) < LIMIT_BYTES
    memory.forget_peak()
    held, peak = memory.held_bytes(), memory.peak_bytes()

    for _ in range(times):
        client = dial("deflate", DEFLATE_OFFER)
        client.send_bytes(BOMB)
        assert read_to_fin(client) == close_frame(1009, "message inflates beyond the limit")

    assert memory.held_bytes() - held < FLAT_BYTES
    assert memory.peak_bytes() - peak < FLAT_BYTES
