"""Compressed connections among others: one broadcast, each in the form that was agreed on."""

from __future__ import annotations

import zlib
from typing import Any

import gevent
import pytest

from tests.support.engine_house import House
from tests.support.raw import RawClient, client_frame
from tina4_wsgi.engine import engine as engine_module
from tina4_wsgi.routing.names import GroupKind

TEXT = "tina " * 1_000


def quiet(connection: Any, event: str, data: str) -> None:
    """A callback that does nothing."""


def read(client: RawClient) -> tuple[bool, str]:
    """Give whether the next message was compressed, and its text."""
    frame = client.read_frame()
    if frame.first == 0x81:
        return False, frame.payload.decode()
    assert frame.first == 0xC1
    return True, zlib.decompressobj(-15).decompress(frame.payload + b"\x00\x00\xff\xff").decode()


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

    def counting(frame: bytes, bits: int, threshold: int) -> bytes:
        compressed.append(bits)
        return original(frame, bits, threshold)

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
