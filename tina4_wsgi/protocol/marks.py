"""Marks: what stands before the first `:` of each message to a client that asked for them.

A client asks by the field `tina4=1.<me>[.<position>]` of its query. On a route that keeps history,
every message in both directions then begins with a mark, which is ASCII and ends at the first `:`.

    from the server         meaning
    @me.position.r:         the greeting, first of all; r is `n` for a newcomer, `y` for one that
                            gets all it missed, `g` where that isn't there any more
    0-42:                   a kept message, with its shard and its number
    :                       any other message
    #position:              all up to here has been said
    #:                      the client's position is void until the next one

    from the client         meaning
    @me:                    it has read the greeting: marks from here on
    :                       a message

A client without the field sees none of it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .framing import frame_of, text_frame

NEWCOMER, RESUMED, GAP = "n", "y", "g"

PRIVATE = b":"
"""The mark of a message that isn't kept."""

VOID_FRAME = text_frame("#:")
"""Tells a client that its position is void."""

_FIELD = re.compile(r"(?:^|&)tina4=([^&#]*)")
_CLAIM = re.compile(r"1\.([A-Za-z0-9_-]{12})(?:\.([A-Za-z0-9._-]{1,256}))?")


class Claim(NamedTuple):
    """What a client says of itself when it asks for marks.

    Attributes:
        me: the name that it gave itself, of 12 characters.
        position: the text of its position; "" for none, "-" for one that is void.
    """

    me: str
    position: str


def take_claim(query: str) -> tuple[str, Claim | None]:
    """Take the field of marks out of a query string.

    Returns:
        The query without it, and the claim; None for none that this version understands.
    """
    found = _FIELD.search(query)
    if found is None:
        return query, None
    rest = (query[: found.start()] + query[found.end() :]).lstrip("&")
    claim = _CLAIM.fullmatch(found[1])
    return rest, None if claim is None else Claim(claim[1], claim[2] or "")


def marked(frame: bytes, mark: bytes) -> bytes:
    """Put a mark in front of the message of a whole, unmasked, uncompressed frame."""
    size = frame[1]
    start = 2 if size < 126 else 4 if size == 126 else 10
    return frame_of(frame[0], mark + frame[start:])


def kept_mark(number: int) -> bytes:
    """Return the mark of a kept message."""
    return b"0-%d:" % number


def greeting(me: str, position: str, verdict: str) -> bytes:
    """Lay out the greeting as a frame; `verdict` is NEWCOMER, RESUMED or GAP."""
    return text_frame(f"@{me}.{position}.{verdict}:")


def settled(position: str) -> bytes:
    """Lay out the frame that says that all up to a position has been said."""
    return text_frame(f"#{position}:")


def split_frames(data: bytes) -> list[bytes]:
    """Split whole, unmasked frames that stand side by side."""
    frames, at, end = [], 0, len(data)
    while at < end:
        size = data[at + 1]
        stop = at + 2 + size
        if size == 126:
            stop = at + 4 + int.from_bytes(data[at + 2 : at + 4], "big")
        elif size == 127:
            stop = at + 10 + int.from_bytes(data[at + 2 : at + 10], "big")
        frames.append(data[at:stop])
        at = stop
    return frames


def message_of(frame: bytes) -> str | bytes:
    """Return the message of a whole, unmasked, uncompressed frame."""
    size = frame[1]
    payload = frame[2 if size < 126 else 4 if size == 126 else 10 :]
    return payload.decode() if frame[0] & 0x0F == 1 else payload
