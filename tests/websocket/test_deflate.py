"""Compressed connections among others: one broadcast, each in the form that was agreed on."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import gevent
import pytest

from tests.support.engine_house import House
from tests.support.raw import RawClient, client_frame
from tina4_wsgi.engine import engine as engine_module
from tina4_wsgi.routing.names import GroupKind
from tina4_wsgi.testing import LiveServer

TEXT = "tina " * 1_000
VARIED = "".join(f"{n * n * 7_919 % 10_007} " for n in range(900)) * 2

LEVELS = """
from tina4_wsgi import App, Router

def echo(connection, event, data):
    if event == "message":
        connection.send(data)

Router.websocket("/ws/fast", echo, deflate_level=1)
Router.websocket("/ws/usual", echo)
Router.websocket("/ws/small", echo, deflate_mem_level=1)
app = App(deflate=True)
"""


def size_at(level: int, memory_level: int = 8) -> int:
    """Give how many bytes zlib makes of `VARIED`, without the four that are not sent."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15, memory_level)
    return len(compressor.compress(VARIED.encode()) + compressor.flush(zlib.Z_SYNC_FLUSH)) - 4


def inflated(payload: bytes) -> str:
    """Give the text of a compressed message."""
    return zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff").decode()


def quiet(connection: Any, event: str, data: str) -> None:
    """A callback that does nothing."""


def read(client: RawClient) -> tuple[bool, str]:
    """Give whether the next message was compressed, and its text."""
    frame = client.read_frame()
    if frame.first == 0x81:
        return False, frame.payload.decode()
    assert frame.first == 0xC1
    return True, inflated(frame.payload)


def test_each_member_hears_a_broadcast_in_its_own_form(house: House) -> None:
    pairs = [house.connect(quiet, window_bits=bits) for bits in (0, 15, 10, 15)]
    gevent.sleep(0)

    pairs[0][1].broadcast("short")
    pairs[1][1].broadcast(TEXT)
    pairs[2][1].broadcast("end", exclude_self=True)

    heard = [
        [read(client) for _ in range(3 if n != 2 else 2)] for n, (client, _) in enumerate(pairs)
    ]
    assert heard[0] == [(False, "short"), (False, TEXT), (False, "end")]
    assert heard[1] == heard[3] == [(False, "short"), (True, TEXT), (False, "end")]
    assert heard[2] == [(False, "short"), (True, TEXT)]


def test_a_broadcast_is_compressed_once_for_all_that_agreed_alike(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    compressed: list[int] = []
    original = engine_module.compress_frame

    def counting(frame: bytes, bits: int, *others: int) -> bytes:
        compressed.append(bits)
        return original(frame, bits, *others)

    monkeypatch.setattr(engine_module, "compress_frame", counting)
    pairs = [house.connect(quiet, window_bits=15) for _ in range(5)]

    pairs[0][1].broadcast(TEXT)

    assert [read(client) for client, _ in pairs] == [(True, TEXT)] * 5
    assert compressed == [15]


def test_rooms_and_single_sends_are_compressed_too(house: House) -> None:
    client, connection = house.connect(quiet, window_bits=15)
    plain, other = house.connect(quiet, "/ws/other")
    connection.join("r")
    other.join("r")

    connection.send(TEXT)
    connection.broadcast_to_room("r", TEXT)

    assert [read(client), read(client), read(plain)] == [(True, TEXT), (True, TEXT), (False, TEXT)]
    assert house.engine.names(GroupKind.ROOM) == ["r"]


def test_a_compressed_echo_works_both_ways(house: House) -> None:
    def echo(connection: Any, event: str, data: str) -> None:
        if event == "message":
            connection.send(data)

    client, _ = house.connect(echo, window_bits=15)
    compressor = zlib.compressobj(wbits=-15)
    payload = compressor.compress(TEXT.encode()) + compressor.flush(zlib.Z_SYNC_FLUSH)
    client.send_bytes(client_frame(0x41, payload[:-4]))

    assert read(client) == (True, TEXT)


def test_each_member_of_a_room_hears_it_as_its_own_route_compresses(house: House) -> None:
    hard, hard_one = house.connect(quiet, "/ws/hard", window_bits=15, deflate_level=9)
    fast, fast_one = house.connect(quiet, "/ws/fast", window_bits=15, deflate_level=1)
    hard_one.join("r")
    fast_one.join("r")

    hard_one.broadcast_to_room("r", VARIED)
    fast_one.send(VARIED)

    sizes = [len(client.read_frame().payload) for client in (hard, fast, fast)]
    assert sizes == [size_at(9), size_at(1), size_at(1)]
    assert size_at(9) < size_at(1)


def test_a_connection_leaves_the_groups_of_its_own_compression(house: House) -> None:
    client, connection = house.connect(quiet, window_bits=15, deflate_mem_level=5)
    connection.join("r")

    connection.leave("r")
    client.close()

    with gevent.Timeout(5, AssertionError("the connection is still counted")):
        while house.engine.count(GroupKind.PATH, "/ws/test"):
            gevent.sleep(0.002)
    assert house.engine.names(GroupKind.ROOM) == []


def test_a_client_that_agrees_on_deflate_hears_the_level_of_its_route(tmp_path: Path) -> None:
    (tmp_path / "levels.py").write_text(LEVELS)
    offer = [("Sec-WebSocket-Extensions", "permessage-deflate")]
    heard = {}

    with LiveServer("levels:app", tmp_path) as server:
        for path in ("/ws/fast", "/ws/usual", "/ws/small"):
            with RawClient.open(server.address, path, offer) as client:
                client.send_text(VARIED)
                frame = client.read_frame()
                assert frame.first == 0xC1
                assert inflated(frame.payload) == VARIED
                heard[path] = len(frame.payload)

    assert heard == {
        "/ws/fast": size_at(1),
        "/ws/usual": size_at(6),
        "/ws/small": size_at(6, memory_level=1),
    }
    assert len(set(heard.values())) == 3
