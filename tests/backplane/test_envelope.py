"""What processes tell each other, byte by byte: what is well formed is read, and anything else is
refused.
"""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.splits import WAYS
from tina4_wsgi.backplane.envelope import (
    MOST_BYTES,
    MOST_JSON_BYTES,
    Envelope,
    EnvelopeError,
    EnvelopeReader,
    Kind,
    pack,
    pack_json,
    sized,
    unpack,
)
from tina4_wsgi.errors import UsageError
from tina4_wsgi.protocol.frames import encode_message

SENDER = bytes(range(16))
HELLO_WORLD = (
    b"\x00\x00\x00\x27\x01\x02\x00\x00\x00\x00\x00\x00\x00\x07"
    + SENDER
    + b"\x00\x06/ws/\xc3\xa4"
    + b"\x81\x03abc"
)


def read(data: bytes, way: str = "whole") -> list[Envelope]:
    """Feed a stream in parts and give all that was in it."""
    reader, found = EnvelopeReader(), []
    for part in WAYS[way](data):
        reader.feed(part, found)
    return found


def test_a_broadcast_is_laid_out_as_documented():
    packed = pack(Kind.PATH, "/ws/ä", b"\x81\x03abc", SENDER, 7)

    assert sized(packed) == HELLO_WORLD


@pytest.mark.parametrize("way", WAYS)
def test_what_is_packed_is_read_however_it_is_cut(way):
    stream = HELLO_WORLD * 2 + sized(pack_json(Kind.ASK, "", {"ask": "count"}, SENDER, 9))

    found = read(stream, way)

    assert [(one.kind, one.name, one.number) for one in found] == [
        (Kind.PATH, "/ws/ä", 7),
        (Kind.PATH, "/ws/ä", 7),
        (Kind.ASK, "", 9),
    ]
    assert found[0].body == b"\x81\x03abc"
    assert found[2].json() == {"ask": "count"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [max(Kind) + 1, 99, 255])
@pytest.mark.parametrize("rest", [b"", b"\xff" * 70_000])
def test_a_kind_of_a_newer_version_is_skipped_whatever_its_body_is(way, kind, rest):
    newer = b"\x01" + bytes([kind]) + HELLO_WORLD[6:32] + rest

    found = read(HELLO_WORLD + sized(newer) + HELLO_WORLD, way)

    assert unpack(newer) is None
    assert [one.name for one in found] == ["/ws/ä"] * 2


def test_a_kind_of_a_newer_version_has_a_bound_too():
    with pytest.raises(EnvelopeError, match="envelope of 67108865 bytes"):
        read(struct.pack(">I", (64 << 20) + 1) + b"\x01\x63")


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 300_000])
@pytest.mark.parametrize("kind", [str, bytes])
def test_a_message_of_any_size_comes_through(size, kind):
    frame = encode_message("x" * size if kind is str else b"\xff" * size)

    (found,) = read(sized(pack(Kind.ROOM, "r", frame)))

    assert found.body == frame


def test_a_large_message_costs_time_in_proportion_to_its_size():
    data = sized(pack(Kind.PATH, "/", encode_message(b"x" * (32 << 20))))
    reader, found = EnvelopeReader(), []

    for start in range(
        0, len(data), 65_536
    ):  # joined at each part this would copy 8 GB, and the deadline strikes
        reader.feed(data[start : start + 65_536], found)

    assert len(found) == 1


BAD = {
    "another version": (b"\x02\x02" + bytes(26), "version 2, expected 1"),
    "no kind 0": (b"\x01\x00" + bytes(26), "kind 0, expected 1 or more"),
    "too short": (b"\x01\x02\x00", "3 bytes, expected at least 28"),
    "empty": (b"", "0 bytes, expected at least 28"),
    "a name longer than all": (b"\x01\x02" + bytes(24) + b"\x00\x09abc", "name of 9 bytes"),
    "a name that is no UTF-8": (b"\x01\x02" + bytes(24) + b"\x00\x01\xff", "name is not UTF-8"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_envelope_is_refused(case):
    data, reason = BAD[case]

    with pytest.raises(EnvelopeError, match=reason):
        unpack(data)


BAD_FRAMES = {
    "nothing": b"",
    "one byte": b"\x81",
    "a ping": b"\x89\x00",
    "a close frame": b"\x88\x00",
    "not final": b"\x01\x01a",
    "a continuation": b"\x80\x01a",
    "compressed": b"\xc1\x01a",
    "masked": b"\x81\x81\x00\x00\x00\x00a",
    "two frames": b"\x81\x01a\x81\x01b",
    "cut short": b"\x81\x05abc",
    "a long form for a short size": b"\x82\x7e\x00\x01a",
    "the longest form for a short size": b"\x82\x7f" + struct.pack(">Q", 200) + bytes(200),
    "a size cut short": b"\x82\x7e\x00",
    "text that is no UTF-8": b"\x81\x02\xc3\x28",
}


@pytest.mark.parametrize("case", BAD_FRAMES)
def test_what_is_no_whole_message_is_refused_before_clients_get_it(case):
    with pytest.raises(EnvelopeError, match="frame"):
        unpack(pack(Kind.PATH, "/", BAD_FRAMES[case]))


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[1]", b"\xff", b"[" * 100_000, b'{"a": NaN}'])
def test_a_body_that_is_no_json_object_is_refused(body):
    with pytest.raises(EnvelopeError, match="body of HELLO is"):
        Envelope(Kind.HELLO, "", body).json()


@pytest.mark.parametrize("size", [0, 27, MOST_BYTES + 1, 0xFFFFFFFF])
def test_an_impossible_size_is_refused_before_its_bytes_have_come(size):
    reader = EnvelopeReader()

    with pytest.raises(EnvelopeError, match=f"envelope of {size} bytes"):
        reader.feed(struct.pack(">I", size) + b"\x01\x02", [])


def test_garbage_is_refused_by_its_first_bytes():
    with pytest.raises(EnvelopeError, match="version 71, expected 1"):
        EnvelopeReader().feed(b"\x00\x00\x10\x00G", [])


def test_what_came_whole_before_garbage_is_kept():
    found: list[Envelope] = []

    with pytest.raises(EnvelopeError):
        EnvelopeReader().feed(HELLO_WORLD + b"\xff" * 10, found)

    assert len(found) == 1


def test_too_much_is_refused_where_it_is_packed():
    with pytest.raises(UsageError, match="at most"):
        pack(Kind.PATH, "/", bytes(MOST_BYTES))
    with pytest.raises(UsageError, match="at most"):
        pack(Kind.ASK, "", bytes(MOST_JSON_BYTES))
    with pytest.raises(UsageError, match="at most 65535"):
        pack(Kind.PATH, "/" * 70_000, b"\x81\x00")
    with pytest.raises(UsageError, match="UTF-8 can't express"):
        pack(Kind.PATH, "/\ud800", b"\x81\x00")


@given(st.binary(max_size=200))
@settings(max_examples=500)
def test_any_bytes_are_an_envelope_or_an_envelope_error(data):
    for start in (b"", b"\x01\x02", HELLO_WORLD[4:30]):
        try:
            assert isinstance(unpack(start + data), Envelope)
        except EnvelopeError:
            pass


def test_a_stream_with_any_byte_changed_is_read_or_refused_but_never_anything_else():
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    source = random.Random(seed)
    stream = HELLO_WORLD + sized(pack_json(Kind.ANSWER, "", {"count": 3}, SENDER, 1)) + HELLO_WORLD
    for at in range(len(stream)):
        changed = bytearray(stream)
        changed[at] ^= source.randrange(1, 256)
        try:
            for envelope in read(bytes(changed), "in random parts"):
                if envelope.kind not in (Kind.PATH, Kind.ROOM):
                    envelope.json()
        except EnvelopeError:
            pass


def test_an_envelope_may_announce_64_mebibytes_and_no_more():
    EnvelopeReader().feed((64 << 20).to_bytes(4, "big") + bytes([1, Kind.PATH]), [])

    with pytest.raises(EnvelopeError, match="envelope of 67108865 bytes"):
        EnvelopeReader().feed(((64 << 20) + 1).to_bytes(4, "big") + bytes([1, Kind.PATH]), [])


def test_json_may_take_16_mebibytes_and_no_more():
    body = bytes((16 << 20) - len(pack(Kind.ASK, "", b"")))
    whole = pack(Kind.ASK, "", body)

    assert (len(whole), unpack(whole).body == body) == (16 << 20, True)
    with pytest.raises(UsageError, match="at most"):
        pack(Kind.ASK, "", body + b"x")
    with pytest.raises(EnvelopeError, match="ASK of 16777217 bytes"):
        unpack(whole + b"x")


def test_an_envelope_without_more_has_no_number_and_no_sender():
    assert Envelope(Kind.HELLO, "", b"")[3:] == (bytes(16), 0)
    assert unpack(pack(Kind.HELLO, "", b""))[3:] == (bytes(16), 0)


def test_the_smallest_envelope_is_a_head_alone():
    packed = pack(Kind.ACK, "", b"")
    assert len(packed) == 28

    assert read(sized(packed)) == [Envelope(Kind.ACK, "", b"")]


@pytest.mark.parametrize("size", [0, 27, MOST_BYTES + 1])
def test_a_stream_that_announces_less_than_a_head_or_too_much_is_refused(size):
    with pytest.raises(
        EnvelopeError, match=f"envelope of {size} bytes, expected 28 to {MOST_BYTES}"
    ):
        EnvelopeReader().feed(size.to_bytes(4, "big") + b"\x01\x02", [])


@pytest.mark.parametrize("way", WAYS)
def test_envelopes_that_come_piece_by_piece_are_read_one_by_one(way):
    packed = [pack(Kind.PATH, f"/{number}", b"\x81\x01a", SENDER, number) for number in range(20)]

    found = read(b"".join(map(sized, packed)), way)

    assert found == [unpack(one) for one in packed]
