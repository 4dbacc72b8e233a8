"""Frames as a client writes and reads them (RFC 6455 §5): masked out, unmasked in.

It is pure: bytes in, messages out. It reads strictly, so tests notice what a browser would reject.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ProtocolError
from ..protocol.deflate import COMPRESSED, Inflater
from ..protocol.frames import CloseCode, Opcode, parse_close
from ..protocol.masking import apply_mask

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIN = 0x80
_MASK_BIT = 0x80
_RESERVED = 0x70
_CONTROL_BIT = 0x08
_MASK = b"\x37\xfa\x21\x3d"  # always the same, so that failures repeat
_MOST_INFLATED_BYTES = 1 << 30

Event = tuple[Opcode, str | bytes | tuple[int, str]]
"""TEXT with str; BINARY, PING and PONG with bytes; CLOSE with code and reason."""


def masked(frame: bytes) -> bytes:
    """Mask a whole frame that is encoded as a server sends it (§5.3)."""
    start = 2 if frame[1] < 126 else 4 if frame[1] == 126 else 10
    head = bytes((frame[0], frame[1] | _MASK_BIT)) + frame[2:start]
    return head + _MASK + apply_mask(frame[start:], _MASK)


class Decoder:
    """Reads what a server sends, and joins fragments and inflates to whole messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._opcode: Opcode | None = None  # of the message that is still coming
        self._parts: list[bytes] = []
        self._is_compressed = False

    def feed(self, data: bytes) -> Iterator[Event]:
        """Yield the messages and control frames that `data` completes.

        Raises:
            ProtocolError: a server must not send this.
        """
        self._buffer += data
        while (frame := self._take_frame()) is not None:
            event = self._event(*frame)
            if event is not None:
                yield event

    def _take_frame(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        if buffer[1] & _MASK_BIT:
            raise _fault("a server's frame is masked")

        start = 2 if buffer[1] < 126 else 4 if buffer[1] == 126 else 10
        size = buffer[1] if start == 2 else int.from_bytes(buffer[2:start], "big")
        if len(buffer) < start + size:
            return None

        first, payload = buffer[0], bytes(buffer[start : start + size])
        del buffer[: start + size]
        return first, payload

    def _event(self, first: int, payload: bytes) -> Event | None:
        opcode = Opcode(first & 0x0F)
        if opcode & _CONTROL_BIT:
            return opcode, parse_close(payload) if opcode is Opcode.CLOSE else payload

        if (opcode is Opcode.CONTINUATION) is (self._opcode is None):
            raise _fault("a fragment stands where none is expected, or is missing")
        if opcode is not Opcode.CONTINUATION:
            self._opcode = opcode
            self._is_compressed = bool(first & COMPRESSED)
        if first & _RESERVED & ~COMPRESSED:
            raise _fault("a reserved bit is set")

        self._parts.append(payload)
        if not first & _FIN:
            return None
        return self._take_message()

    def _take_message(self) -> Event:
        whole, opcode = b"".join(self._parts), self._opcode
        assert opcode is not None
        self._parts, self._opcode = [], None
        if self._is_compressed:
            whole = _inflated(whole)
        return opcode, whole.decode() if opcode is Opcode.TEXT else whole


def _inflated(payload: bytes) -> bytes:
    inflater = Inflater(_MOST_INFLATED_BYTES)
    whole = inflater.inflate(payload, True)
    if inflater.fault is not None:
        raise inflater.fault
    return whole


def _fault(reason: str) -> ProtocolError:
    return ProtocolError(CloseCode.PROTOCOL_ERROR, reason)
