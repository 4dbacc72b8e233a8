"""Masking does what RFC 6455 §5.3 says. `tests/compiled` runs these tests on the module that is
written for C.
"""

from __future__ import annotations

import array
import random

import pytest

from tina4_wsgi.errors import UsageError
from tina4_wsgi.protocol.masking import apply_mask

KEY = b"\x37\xfa\x21\x3d"
# Around the four bytes of the key, the eight of a machine word, and what a frame's head can say.
SIZES = [*range(34), 63, 64, 65, 125, 126, 4_099, 65_535, 65_536, 1_000_003]


def byte_by_byte(data: bytes, key: bytes) -> bytes:
    """The algorithm as the RFC spells it."""
    return bytes(byte ^ key[index % 4] for index, byte in enumerate(data))


def random_bytes(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def test_the_example_of_the_rfc_unmasks_to_hello():
    assert apply_mask(b"\x7f\x9f\x4d\x51\x58", KEY) == b"Hello"


@pytest.mark.parametrize("size", SIZES)
def test_every_byte_meets_its_byte_of_the_key(size):
    data = random_bytes(size)

    assert apply_mask(data, KEY) == byte_by_byte(data, KEY)


@pytest.mark.parametrize("size", SIZES)
def test_masking_twice_gives_the_data_back(size):
    data, key = random_bytes(size), b"\xff\x00\x80\x7f"

    assert apply_mask(apply_mask(data, key), key) == data


@pytest.mark.parametrize("offset", range(1, 9))
@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 4_096])
def test_data_may_begin_at_any_address(offset, size):
    data = random_bytes(offset + size + 3)

    masked = apply_mask(memoryview(data)[offset : offset + size], memoryview(KEY + KEY)[4:])

    assert masked == byte_by_byte(data[offset : offset + size], KEY)


def test_leading_and_trailing_zeros_survive():
    assert apply_mask(b"\0\0a\0\0", b"\0\0\0\0") == b"\0\0a\0\0"
    assert apply_mask(b"\x01\x02\x03\x04\x01", b"\x01\x02\x03\x04") == b"\0\0\0\0\0"


@pytest.mark.parametrize(
    "view",
    [
        bytearray(b"\1\2\3\4\5\6\7\10"),
        memoryview(b"\1\2\3\4\5\6\7\10"),
        memoryview(b"\1-\2-\3-\4-\5-\6-\7-\10")[::2],
        array.array("I", b"\1\2\3\4\5\6\7\10"),
    ],
    ids=["bytearray", "memoryview", "every-second-byte", "wider-than-a-byte"],
)
def test_whatever_holds_bytes_is_taken(view):
    assert apply_mask(view, bytearray(b"\1\1\1\1")) == b"\0\3\2\5\4\7\6\11"


def test_the_result_is_new_bytes_and_the_data_stay_as_they_were():
    data = bytearray(b"ab")

    masked = apply_mask(data, KEY)

    assert type(masked) is bytes
    assert data == b"ab"


@pytest.mark.parametrize("mask", [b"", b"\x01\x02\x03", b"\x01\x02\x03\x04\x05", bytearray(8)])
def test_a_key_of_another_length_is_refused(mask):
    with pytest.raises(UsageError, match=f"^mask of {len(mask)} bytes, expected 4$"):
        apply_mask(b"data", mask)


@pytest.mark.parametrize("data", ["text", 5, None, [1, 2]])
def test_what_is_no_bytes_is_refused(data):
    with pytest.raises(TypeError):
        apply_mask(data, KEY)
    with pytest.raises(TypeError):
        apply_mask(b"data", data)
