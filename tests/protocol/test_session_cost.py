"""What hostile bytes cost: time in proportion to their number, memory within the limits."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterable
from itertools import repeat

import pytest

from tina4_wsgi.config import Config
from tina4_wsgi.errors import ProtocolError
from tina4_wsgi.protocol.session import Session

pytestmark = pytest.mark.measures

KEY = b"\0\0\0\0"
FIRST, NEXT, LAST = b"\x01\x81" + KEY + b"x", b"\x00\x81" + KEY + b"x", b"\x80\x81" + KEY + b"x"
EMPTY = b"\x00\x80" + KEY
PING = b"\x89\x80" + KEY
A_MILLION = (1_000_000).to_bytes(8, "big")
ROOMY = Config(max_message_bytes=1_000_000, max_fragments=1_000_000, max_inbound_messages=100_000)

Stream = Callable[[int], Iterable[bytes]]

STREAMS: dict[str, Stream] = {
    "fragments of one byte, at once": lambda count: [FIRST + NEXT * count + LAST],
    "fragments of one byte, one by one": lambda count: [FIRST, *repeat(NEXT, count), LAST],
    "empty fragments, at once": lambda count: [FIRST + EMPTY * count + LAST],
    "empty fragments, one by one": lambda count: [FIRST, *repeat(EMPTY, count), LAST],
    "a text frame byte by byte": lambda count: [
        b"\x81\xff" + A_MILLION + KEY,
        *repeat(b"x", count),
    ],
    "a binary frame byte by byte": lambda count: [
        b"\x82\xff" + A_MILLION + KEY,
        *repeat(b"x", count),
    ],
    "characters cut in two": lambda count: [
        b"\x81\xff" + A_MILLION + KEY + b"\xc3",
        *repeat(b"\xa9\xc3", count),
    ],
    "empty messages, at once": lambda count: [(b"\x81\x80" + KEY) * count],
    "pings, at once": lambda count: [PING * count],
    "pings between fragments": lambda count: [FIRST + (PING + NEXT) * count + LAST],
}


def listen(parts: Iterable[bytes], config: Config = ROOMY) -> Session:
    """Feed the parts and take away what they give; the session is as it was left."""
    session, messages = Session(config), []
    for part in parts:
        session.feed(part, messages)
        session.pongs = None
        messages.clear()
    return session


def processor_s(stream: Stream, count: int, runs: int) -> float:
    """Give the best of several runs: another process on this core only ever adds."""
    parts, best = list(stream(count)), float("inf")
    for _ in range(runs):
        began = time.thread_time()
        listen(parts)
        best = min(best, time.thread_time() - began)
    return best


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_time_grows_in_proportion_to_the_bytes(stream):
    few_s, many_s = processor_s(stream, 1_000, runs=4), processor_s(stream, 32_000, runs=2)

    # Linear work takes 32 times as long, quadratic work 1,024 times. It is the one thing here that
    # only a clock shows, for it would hide in single calls that copy or search a buffer. It is the
    # clock of this thread's own work, so others on the machine don't count, and what they spoil in
    # caches is far from a factor of six.
    assert many_s < 200 * few_s, f"32 times as much took {many_s / few_s:.0f} times as long"


def most_bytes_held(parts: Iterable[bytes], config: Config) -> int:
    """Give the peak of what a session had allocated, the parts themselves apart.

    The least of three: other threads of this process, of an earlier test's server, may allocate
    meanwhile.
    """
    parts = list(parts)
    Session(config)  # what is allocated once only, is allocated before
    return min(_peak_of(parts, config) for _ in range(3))


def _peak_of(parts: list[bytes], config: Config) -> int:
    tracemalloc.start()
    try:
        listen(parts, config)
    except ProtocolError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


@pytest.mark.parametrize("length", [65_537, 1 << 31, 1 << 40, (1 << 63) - 1])
def test_an_announcement_costs_nothing(length):
    head = b"\x82\xff" + length.to_bytes(8, "big")

    assert most_bytes_held([head], Config()) < 8_192


def test_a_large_frame_that_is_allowed_costs_nothing_until_its_bytes_come():
    head = b"\x82\xff" + (1 << 30).to_bytes(8, "big") + KEY + b"x"

    assert most_bytes_held([head], Config(max_message_bytes=1 << 30)) < 8_192


def test_empty_fragments_hold_nothing():
    parts = [FIRST, *repeat(EMPTY, 4_000)]

    assert most_bytes_held(parts, Config()) < 8_192


def test_a_message_that_is_not_whole_holds_little_more_than_its_bytes():
    size = 65_536
    parts = [b"\x82\xff" + size.to_bytes(8, "big") + KEY, *repeat(b"x", size - 1)]

    assert most_bytes_held(parts, Config()) < 2 * size


def test_a_control_frame_that_is_not_whole_holds_no_more_than_itself():
    parts = [b"\x89\xfd" + KEY, *repeat(b"x", 124)]

    assert most_bytes_held(parts, Config()) < 8_192


def test_what_follows_a_close_frame_holds_nothing():
    parts = [b"\x88\x80" + KEY, *repeat(b"x" * 1_000, 1_000)]

    assert most_bytes_held(parts, Config()) < 8_192


@pytest.mark.parametrize("character", ["x", "é", "€", "\U0001f600"])
def test_text_that_is_not_whole_holds_little_more_than_its_bytes(character):
    data = character.encode() * (65_000 // len(character.encode()))
    parts = [
        b"\x81\xfe" + (65_000).to_bytes(2, "big") + KEY,
        *(data[at : at + 1] for at in range(len(data) - 1)),
    ]

    assert most_bytes_held(parts, Config()) < 2 * len(data)


def test_10_000_fragments_of_one_byte_hold_little_more_than_10_000_bytes():
    config = Config(max_fragments=20_000)

    assert most_bytes_held([FIRST, *repeat(NEXT, 10_000)], config) < 20_000
