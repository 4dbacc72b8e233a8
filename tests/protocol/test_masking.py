"""Masking: the compiled function and the pure one give the same, and what RFC 6455 says."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from tina4_wsgi.protocol.masking import apply_mask, apply_mask_pure

BOTH = pytest.mark.parametrize("mask", [apply_mask, apply_mask_pure], ids=["chosen", "pure"])


def test_a_compiled_function_is_chosen_where_there_is_one():
    speedups = pytest.importorskip("websockets.speedups")

    assert apply_mask is speedups.apply_mask


def test_the_pure_function_is_chosen_without_websockets():
    program = (
        "import sys; sys.modules['websockets.speedups'] = None\n"
        "from tina4_wsgi.protocol import masking\n"
        "assert masking.apply_mask is masking.apply_mask_pure"
    )

    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=20)


@BOTH
def test_the_example_of_the_rfc_unmasks_to_hello(mask):
    assert mask(b"\x7f\x9f\x4d\x51\x58", b"\x37\xfa\x21\x3d") == b"Hello"


@BOTH
def test_nothing_stays_nothing(mask):
    assert mask(b"", b"\x01\x02\x03\x04") == b""


@BOTH
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 63, 64, 65, 4_099])
def test_masking_twice_gives_the_data_back(mask, size):
    data, key = random.Random(size).randbytes(size), b"\xff\x00\x80\x7f"

    assert mask(mask(data, key), key) == data


@BOTH
def test_leading_and_trailing_zeros_survive(mask):
    assert mask(b"\0\0a\0\0", b"\0\0\0\0") == b"\0\0a\0\0"
    assert mask(b"\x01\x02\x03\x04\x01", b"\x01\x02\x03\x04") == b"\0\0\0\0\0"


@BOTH
def test_bytearrays_are_taken_too(mask):
    assert mask(bytearray(b"\x01\x02"), bytearray(b"\x01\x01\0\0")) == b"\x00\x03"


@BOTH
def test_the_result_is_bytes(mask):
    assert type(mask(bytearray(b"ab"), b"\x01\x02\x03\x04")) is bytes


def test_both_functions_give_the_same_for_random_data():
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    source = random.Random(seed)

    for size in [*range(70), 1_000, 65_537]:
        data, key = source.randbytes(size), source.randbytes(4)
        assert apply_mask(data, key) == apply_mask_pure(data, key), size
