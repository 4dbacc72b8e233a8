"""Whole messages, laid out as frames and taken from frames (RFC 6455 §5.2, §5.6).

How it works. This module is pure Python. `framing.pyx` beside it is the same module for a C
compiler; where the engine is compiled, Python imports the compiled one, which makes one object for
each message and one for each frame.

Invariants: both modules have the same functions, with the same results and errors, and pass the
same tests. Nothing here checks a limit or a header: `Session` and `encode_message` have done so.
"""

from __future__ import annotations

from .masking import apply_mask

__all__ = ["LONGEST_WHOLE_BYTES", "bytes_at", "frame_of", "text_at", "text_frame"]

LONGEST_WHOLE_BYTES = 65_535
"""The longest payload that `text_at` and `bytes_at` take: the most that two bytes can announce."""

_TEXT, _BINARY = 0x81, 0x82
_SHORT_HEADERS = {
    first: tuple(bytes((first, size)) for size in range(126)) for first in (_TEXT, _BINARY)
}
_TEXT_HEADERS = _SHORT_HEADERS[_TEXT]


def text_at(raw: bytes, start: int, size: int) -> str:
    """Unmask and decode the text whose `size` bytes begin at `start`, right behind their mask.

    Args:
        raw: holds at least `start + size` bytes. In the compiled module this is a plain pointer,
            and nothing is checked.
        size: at most `LONGEST_WHOLE_BYTES`.
    Raises:
        UnicodeDecodeError: the text isn't UTF-8.
    """
    # As `apply_mask` does it, whose checks this hot path can spare.
    repeated = (raw[start - 4 : start] * (size // 4 + 1))[:size]
    masked = int.from_bytes(raw[start : start + size], "big")
    return (masked ^ int.from_bytes(repeated, "big")).to_bytes(size, "big").decode()


def bytes_at(raw: bytes, start: int, size: int) -> bytes:
    """Unmask the `size` bytes that begin at `start`; see `text_at`."""
    return apply_mask(raw[start : start + size], raw[start - 4 : start])


def text_frame(text: str) -> bytes:
    """Lay out a whole text as one frame.

    Args:
        text: a str, of no subclass.
    Raises:
        UnicodeEncodeError: UTF-8 can't express it.
    """
    payload = text.encode()
    size = len(payload)
    return _TEXT_HEADERS[size] + payload if size < 126 else frame_of(_TEXT, payload)


def frame_of(first: int, payload: bytes) -> bytes:
    """Lay out one unmasked frame (§5.1: a server never masks).

    Args:
        first: its first byte: FIN, reserved bits, opcode.
        payload: any length up to 2^63 - 1.
    """
    size = len(payload)
    if size < 126:
        headers = _SHORT_HEADERS.get(first)
        return (bytes((first, size)) if headers is None else headers[size]) + payload
    if size < 65_536:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload
