"""One stream of client bytes, told to a `Session` in different parts.

What a session makes of it must not depend on the parts, so each test of the wire runs once per way
of splitting: see the fixture `hear` in `tests/protocol/conftest.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar

from tina4_wsgi.config import Config
from tina4_wsgi.errors import ProtocolError
from tina4_wsgi.protocol.session import Session

Text = TypeVar("Text", str, bytes)

MOST_PART_BYTES = 9  # random parts are small: most frames of the tests have less than 30 bytes
LONG_BYTES = 16_384
"""From here on a stream is split finely at both ends only; between them is payload, a byte like the
other.
"""
FINE_BYTES = 2_048  # at each end of a long stream
COARSE_BYTES = 1_021


@dataclass(frozen=True)
class Heard:
    """All that a session made of a stream.

    Attributes:
        messages: str for text, bytes for binary.
        pongs: the frames that answer pings, in order.
        peer_close: code and reason of the peer's close frame, None if none came.
        fault: close code and reason of the `ProtocolError` that ended it, None if none did.
    """

    messages: list[str | bytes] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    peer_close: tuple[int, str] | None = None
    fault: tuple[int, str] | None = None

    @property
    def fault_code(self) -> int | None:
        """The close code of the fault alone."""
        return None if self.fault is None else self.fault[0]


def whole(data: bytes) -> list[bytes]:
    """All in one part."""
    return [data]


def single_bytes(data: bytes) -> list[bytes]:
    """Each byte by itself."""
    return [data[at : at + 1] for at in range(len(data))]


def byte_by_byte(data: bytes) -> list[bytes]:
    """Each byte by itself; of a long stream those at both ends, and large parts between them."""
    if len(data) < LONG_BYTES:
        return single_bytes(data)
    middle = data[FINE_BYTES:-FINE_BYTES]
    coarse = [middle[at : at + COARSE_BYTES] for at in range(0, len(middle), COARSE_BYTES)]
    return [*single_bytes(data[:FINE_BYTES]), *coarse, *single_bytes(data[-FINE_BYTES:])]


def random_parts(data: bytes) -> list[bytes]:
    """Parts of random sizes, empty ones among them, larger in the middle of a long stream; prints
    the seed, which pytest shows with a failure.
    """
    seed = random.randrange(1 << 32)
    print(f"random parts with seed {seed}")
    source = random.Random(seed)
    parts, at = [], 0
    while at < len(data):
        is_middle = len(data) >= LONG_BYTES and FINE_BYTES < at < len(data) - FINE_BYTES
        size = source.randint(0, COARSE_BYTES if is_middle else MOST_PART_BYTES)
        parts.append(data[at : at + size])
        at += size
    return parts


def cut_at(data: Text, places: Iterable[int]) -> list[Text]:
    """Cut before each of `places`, taken modulo the length; in any order, equal ones give empty
    parts.
    """
    ends = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:stop] for start, stop in pairwise(ends)]


WAYS: dict[str, Callable[[bytes], Sequence[bytes]]] = {
    "whole": whole,
    "byte by byte": byte_by_byte,
    "in random parts": random_parts,
}


def hear(parts: Iterable[bytes], *, may_compress: bool = False, **limits: Any) -> Heard:
    """Feed the parts to a new session, as a connection would, and collect what comes.

    Args:
        may_compress: whether permessage-deflate was agreed on.
        limits: settings that differ from the defaults.
    """
    session = Session(Config(**{"max_inbound_messages": 100_000, **limits}), may_compress)
    messages: list[str | bytes] = []
    pongs: list[bytes] = []
    fault = None
    try:
        for part in parts:
            session.feed(part, messages)
            pongs += _take_pongs(session)
    except ProtocolError as exc:
        fault = exc.close_code, exc.reason
        pongs += _take_pongs(session)
    return Heard(messages, pongs, session.peer_close, fault)


def _take_pongs(session: Session) -> list[bytes]:
    pongs, session.pongs = session.pongs or [], None
    return pongs
