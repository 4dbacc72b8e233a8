"""Frames as the test client reads and writes them."""

from __future__ import annotations

import pytest

from tina4_wsgi.errors import ProtocolError
from tina4_wsgi.protocol.frames import Opcode
from tina4_wsgi.testing.codec import Decoder, masked


def decode(data: bytes, step: int):
    """Feed bytes in pieces of `step`."""
    decoder = Decoder()
    return [
        event
        for start in range(0, len(data), step)
        for event in decoder.feed(data[start : start + step])
    ]


@pytest.mark.parametrize("step", [1, 2, 1_000_000])
@pytest.mark.parametrize(
    ("data", "event"),
    [
        (b"\x81\x02hi", (Opcode.TEXT, "hi")),
        (b"\x82\x02\x00\xff", (Opcode.BINARY, b"\x00\xff")),
        (b"\x81\x7e\x00\x7e" + b"x" * 126, (Opcode.TEXT, "x" * 126)),
        (b"\x81\x7f" + (65_536).to_bytes(8, "big") + b"x" * 65_536, (Opcode.TEXT, "x" * 65_536)),
        (b"\x01\x01h\x80\x01i", (Opcode.TEXT, "hi")),
        (b"\xc1\x04\xca\xc8\x04\x00", (Opcode.TEXT, "hi")),
        (b"\x89\x01p", (Opcode.PING, b"p")),
        (b"\x8a\x00", (Opcode.PONG, b"")),
        (b"\x88\x00", (Opcode.CLOSE, (1005, ""))),
        (b"\x88\x05\x0f\xa0bye", (Opcode.CLOSE, (4000, "bye"))),
    ],
)
def test_a_frame_is_read_however_it_is_split(data, event, step):
    assert decode(data, step) == [event]


def test_a_control_frame_may_come_between_fragments():
    assert decode(b"\x01\x01h\x89\x00\x80\x01i", 1) == [(Opcode.PING, b""), (Opcode.TEXT, "hi")]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x81\x82\x00\x00\x00\x00hi", "masked"),
        (b"\x80\x01i", "a fragment stands where none is expected"),
        (b"\x01\x01h\x81\x01i", "or is missing"),
        (b"\xa1\x02hi", "a reserved bit is set"),
        (b"\xc1\x02hi", "1007"),
        (b"\x88\x01x", "close payload of 1 byte"),
    ],
)
def test_what_a_server_may_not_send_is_refused(data, why):
    with pytest.raises(ProtocolError, match=why):
        decode(data, 100)


@pytest.mark.parametrize("data", [b"\x83\x00", b"\x81\x01\xff"])
def test_unknown_opcodes_and_bad_utf_8_are_refused(data):
    with pytest.raises(ValueError):
        decode(data, 100)


@pytest.mark.parametrize(
    "head", [b"\x81\x02", b"\x82\x7e\x00\x7e", b"\x82\x7f" + (65_536).to_bytes(8, "big")]
)
def test_masking_keeps_the_head_and_hides_the_payload(head):
    size = {2: 2, 4: 126, 10: 65_536}[len(head)]
    frame = masked(head + b"x" * size)

    assert frame[0] == head[0]
    assert frame[1] == head[1] | 0x80
    assert frame[2 : len(head)] == head[2:]
    key, payload = frame[len(head) : len(head) + 4], frame[len(head) + 4 :]
    assert bytes(byte ^ key[index % 4] for index, byte in enumerate(payload)) == b"x" * size
