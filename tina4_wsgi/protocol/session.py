"""The receiving side of one connection: bytes in, messages out (RFC 6455 §5, §6.2, §7).

How it works. `feed` walks over the bytes frame by frame. `_take_whole` takes messages that came in
one frame and at once, nearly all there are; all other frames go through `_read_frame`.
The part of a data frame that has arrived is unmasked, checked and added to the `_Message` at once,
so no byte is looked at twice and bad UTF-8 fails before the frame is complete. Only the header of a
frame, a control frame, or bytes beyond an inbound limit ever wait in `_buffer`: at most 139 bytes
of the first two.

Invariants: nothing here knows a socket, a clock or a callback; every limit is checked on the header
of a frame, before memory is spent on its payload; a fault raises `ProtocolError` *after* the
messages before it are handed out; the result doesn't depend on how the bytes were split.
"""

from __future__ import annotations

from codecs import utf_8_decode
from typing import Protocol

from ..errors import ProtocolError
from .deflate import COMPRESSED, Inflater
from .frames import MAX_CONTROL_PAYLOAD_BYTES, CloseCode, Opcode, encode_frame, parse_close
from .framing import bytes_at, text_at
from .masking import apply_mask

_FIN = 0x80
_RESERVED = 0x70
_MASKED = 0x80
_WHOLE_TEXT = 0x81
_WHOLE_BINARY = 0x82

_DEFLATE_SLACK_BYTES = 64
"""Most bytes that DEFLATE adds to a message that it can't compress, besides a thousandth of its
length.
"""


class Limits(Protocol):
    """The settings that `Session` enforces; `config.Config` has them."""

    @property
    def max_message_bytes(self) -> int: ...
    @property
    def max_fragments(self) -> int: ...
    @property
    def max_inbound_messages(self) -> int: ...
    @property
    def max_inbound_bytes(self) -> int: ...
    @property
    def max_deflate_ratio(self) -> int: ...


class _Message:
    """A message that is still arriving, in fragments or in parts of one frame."""

    __slots__ = (
        "_incomplete",
        "_inflater",
        "_is_text",
        "_parts",
        "_whole",
        "fragments",
        "plain_bytes",
        "size_bytes",
    )

    def __init__(self, is_text: bool, inflater: Inflater | None) -> None:
        self._inflater = inflater
        self.fragments = 0
        self.size_bytes = 0  # as announced by the headers of the frames so far
        self.plain_bytes = 0  # as arrived so far, inflated
        self._is_text = is_text
        self._whole: str | bytes | None = None  # of a message that came in one part
        # Bytes for text too: a StringIO keeps an object of 80 bytes for each small part.
        self._parts = bytearray()
        self._incomplete = b""  # the first bytes of a character whose rest is still to come

    def begin_frame(self, length: int) -> None:
        """Count one more frame, of `length` bytes."""
        self.fragments += 1
        self.size_bytes += length
        if self._inflater is not None:
            self._inflater.expect(length)

    def add(self, payload: bytes, is_last: bool) -> None:
        """Append unmasked bytes.

        Raises:
            ProtocolError: 1007, the text isn't UTF-8, whatever follows; see also
                `Inflater.fault`.
        """
        fault = None
        if self._inflater is not None:
            payload = self._inflater.inflate(payload, is_last)
            fault = self._inflater.fault

        self.plain_bytes += len(payload)
        text = self._decode(payload, is_last and fault is None) if self._is_text else None
        if fault is not None:
            raise fault

        if is_last and not self._parts:
            self._whole = payload if text is None else text
        else:
            self._parts += payload

    def _decode(self, payload: bytes, is_last: bool) -> str:
        if self._incomplete:
            payload = self._incomplete + payload

        try:
            text, used = utf_8_decode(payload, "strict", is_last)
        except UnicodeDecodeError as exc:
            raise _not_utf8() from exc
        self._incomplete = payload[used:]

        # CPython waits for the third byte of a surrogate before it refuses the second.
        if self._incomplete[:1] == b"\xed" and self._incomplete[1:] >= b"\xa0":
            raise _not_utf8()
        return text

    @property
    def is_compressed(self) -> bool:
        return self._inflater is not None

    def finish(self) -> str | bytes:
        if self._whole is not None:
            return self._whole
        return self._parts.decode() if self._is_text else bytes(self._parts)


class _Payload:
    """The part of a data frame's payload that is still to come."""

    __slots__ = ("is_final", "mask", "remaining_bytes")

    def __init__(self, mask: bytes, remaining_bytes: int, is_final: bool) -> None:
        self.mask = mask
        self.remaining_bytes = remaining_bytes
        self.is_final = is_final

    def unmask(self, part: bytes) -> bytes:
        plain = apply_mask(part, self.mask)
        self.remaining_bytes -= len(part)
        turn = len(part) & 3
        self.mask = self.mask[turn:] + self.mask[:turn]
        return plain


class Session:
    """The receiving half of one connection.

    Args:
        limits: the limits that the peer must respect.
        may_compress: whether permessage-deflate was negotiated.

    Attributes:
        is_assembling: whether a message has arrived in part.
        most_messages, most_bytes: `feed` stops once this many messages, or bytes of messages, wait.
        queued_bytes: inflated bytes of the messages that `feed` appended; the owner subtracts them
            when it takes the messages.
        pongs: pong frames for the pings of the last `feed`, oldest first; the owner takes them.
        peer_close: code and reason of the peer's close frame, None before it; `feed` reads nothing
            after it.
    """

    __slots__ = (
        "_buffer",
        "_limits",
        "_may_compress",
        "_message",
        "_most_message_bytes",
        "_payload",
        "is_assembling",
        "most_bytes",
        "most_messages",
        "peer_close",
        "pongs",
        "queued_bytes",
    )

    def __init__(self, limits: Limits, may_compress: bool = False) -> None:
        self._limits = limits
        self.most_messages = limits.max_inbound_messages
        self.most_bytes = limits.max_inbound_bytes
        self._most_message_bytes = limits.max_message_bytes

        self.queued_bytes = 0
        self.is_assembling = False
        self._may_compress = may_compress
        self._buffer = b""
        self._message: _Message | None = None
        self._payload: _Payload | None = None
        self.pongs: list[bytes] | None = None
        self.peer_close: tuple[int, str] | None = None

    @property
    def has_buffered(self) -> bool:
        """Whether `feed(b"")` may return more messages.

        It may if `feed` stopped at an inbound limit or inside a frame's header.
        """
        return bool(self._buffer)

    def is_as_new(self) -> bool:
        """Return whether nothing has arrived in part, and nothing waits to be taken."""
        return (
            not self._buffer
            and self.queued_bytes == 0
            and self._message is None
            and self.pongs is None
            and self.peer_close is None
        )

    @property
    def held_bytes(self) -> int:
        """How many bytes are held: messages not taken yet, and the arrived part of the next one."""
        message = self._message
        return (
            self.queued_bytes + len(self._buffer) + (0 if message is None else message.plain_bytes)
        )

    def drop(self) -> None:
        """Drop the arrived part of the next message; `feed` isn't called any more."""
        self._message = self._payload = None
        self.is_assembling = False
        self._buffer = b""

    def feed(self, data: bytes, messages: list[str | bytes]) -> bool:
        """Take bytes from the socket and append each message that they complete.

        Stops as soon as `messages` reaches an inbound limit, keeps the remaining bytes, and goes on
        with them in the next call.

        Args:
            data: any bytes, split anywhere; b"" to go on after a stop.
            messages: the list to append to, str for text and bytes for binary.
        Returns:
            Whether `pongs` or `peer_close` is set.
        Raises:
            ProtocolError: the peer broke the protocol; the error has the close code, and `messages`
                holds the messages before the fault.
        """
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        if self.peer_close is not None:
            return True

        position = 0 if self._payload is None else self._continue_payload(data, messages)
        size = len(data)
        while self._has_room(messages):
            position = self._take_whole(data, position, size, messages)
            if size - position < 2 or not self._has_room(messages):
                break
            stop = self._read_frame(data, position, messages)
            if stop < 0:
                break
            position = stop

        if position < size:
            self._buffer = data[position:]
        return self.pongs is not None or self.peer_close is not None

    def feed_raw(self, raw: bytes, size: int, messages: list[str | bytes]) -> bool:
        """Do as `feed` does, with `size` bytes that are only copied where they must be kept.

        Args:
            raw: in the compiled module a plain pointer, valid until this returns.
        """
        position = 0
        if not self._buffer and self.peer_close is None:
            position = self._take_whole(raw, 0, size, messages)
            if position == size:
                return self.pongs is not None
        return self.feed(raw[position:size], messages)

    def _has_room(self, messages: list[str | bytes]) -> bool:
        return len(messages) < self.most_messages and self.queued_bytes < self.most_bytes

    def _take_whole(self, raw: bytes, position: int, size: int, messages: list[str | bytes]) -> int:
        """Take messages in one frame each, as long as nothing else comes: nearly all there are.

        Returns:
            Where the first frame begins that isn't such a message, or isn't here whole.
        """
        # In the compiled module `raw` is a plain pointer, so no index is checked.
        if self._message is not None:
            return position

        while (
            size - position >= 6
            and len(messages) < self.most_messages
            and self.queued_bytes < self.most_bytes
        ):
            first = raw[position]
            if first != _WHOLE_TEXT and first != _WHOLE_BINARY:  # a hot path
                break

            start, length = position + 6, raw[position + 1] - _MASKED
            if not 0 <= length < 126:
                if length != 126 or size - position < 8:
                    break
                start, length = position + 8, raw[position + 2] << 8 | raw[position + 3]
                # Not in its shortest form, or too long: `_read_frame` says so.
                if length < 126 or length > self._most_message_bytes:
                    break
            stop = start + length
            if stop > size:
                break

            try:
                if first == _WHOLE_TEXT:
                    messages.append(text_at(raw, start, length))
                else:
                    messages.append(bytes_at(raw, start, length))
            except UnicodeDecodeError as exc:
                raise _not_utf8() from exc
            self.queued_bytes += length
            position = stop
        return position

    def _read_frame(self, data: bytes, position: int, messages: list[str | bytes]) -> int:
        """Handle the frame that begins at `position`.

        Returns:
            Where the next frame begins, or -1 if its header (or a control frame) is incomplete.
        """
        first = data[position]
        opcode = first & 0x0F
        self._check_first_bytes(first, data[position + 1])

        length = data[position + 1] & 0x7F
        start = position + 2
        if length >= 126:
            width = 2 if length == 126 else 8
            if len(data) < start + width:
                return -1
            length = _extended_length(data[start : start + width])
            start += width

        if opcode < Opcode.CLOSE:
            self._check_size(length, first & COMPRESSED != 0)
        start += 4
        stop = start + length
        if len(data) < (start if opcode < Opcode.CLOSE else stop):
            return -1

        mask = data[start - 4 : start]
        if opcode < Opcode.CLOSE:
            self._begin_payload(first, mask, length)
            return start + self._continue_payload(data[start:stop], messages)
        self._read_control(opcode, apply_mask(data[start:stop], mask))
        return stop if opcode != Opcode.CLOSE else len(data)

    def _check_first_bytes(self, first: int, second: int) -> None:
        """Check mask §5.1, reserved bits and opcode §5.2, fragments §5.4, control frames §5.5."""
        opcode = first & 0x0F

        if not second & _MASKED:
            raise _broken("frame is not masked, a client masks every frame")
        if first & _RESERVED:
            self._check_reserved(first)

        if opcode in (Opcode.CLOSE, Opcode.PING, Opcode.PONG):
            if not first & _FIN:
                raise _broken("fragmented control frame")
            if second & 0x7F > MAX_CONTROL_PAYLOAD_BYTES:
                raise _broken("control frame over 125 bytes")
        elif opcode == Opcode.CONTINUATION:
            if self._message is None:
                raise _broken("continuation without a message to continue")
        elif opcode not in (Opcode.TEXT, Opcode.BINARY):
            raise _broken(f"opcode 0x{opcode:X} is reserved")
        elif self._message is not None:
            raise _broken("new message inside a fragmented one")

    def _check_reserved(self, first: int) -> None:
        """Check that RSV1 only marks the first frame of a compressed message (RFC 7692 §6)."""
        is_first = first & 0x0F in (Opcode.TEXT, Opcode.BINARY)
        if first & _RESERVED != COMPRESSED or not self._may_compress or not is_first:
            raise _broken(
                "reserved bit set, and no extension was agreed on that would mean something by it"
            )

    def _check_size(self, length: int, is_compressed: bool) -> None:
        size, most = length, self._most_message_bytes
        if self._message is not None:
            size += self._message.size_bytes
            is_compressed = self._message.is_compressed
        # Incompressible data grows a little; the inflater checks the size of the inflated message.
        slack = _DEFLATE_SLACK_BYTES + (most >> 10) if is_compressed else 0

        if size > most + slack:
            raise ProtocolError(
                CloseCode.MESSAGE_TOO_BIG,
                f"message of {size} bytes or more, at most {most} allowed",
            )

    def _begin_payload(self, first: int, mask: bytes, length: int) -> None:
        message = self._message
        if message is None:
            inflater = None
            if first & COMPRESSED:
                inflater = Inflater(self._limits.max_message_bytes, self._limits.max_deflate_ratio)
            message = self._message = _Message(first & 0x0F == Opcode.TEXT, inflater)
            self.is_assembling = True

        message.begin_frame(length)
        if message.fragments > self._limits.max_fragments:
            raise ProtocolError(
                CloseCode.POLICY_VIOLATION,
                f"message in over {self._limits.max_fragments} fragments",
            )
        self._payload = _Payload(mask, length, first & _FIN != 0)

    def _continue_payload(self, data: bytes, messages: list[str | bytes]) -> int:
        """Take the bytes that belong to the current data frame; return how many those are."""
        payload, message = self._payload, self._message
        assert payload is not None and message is not None

        part = data[: payload.remaining_bytes]
        plain = payload.unmask(part)
        is_complete = payload.remaining_bytes == 0
        message.add(plain, is_complete and payload.is_final)

        if is_complete:
            self._payload = None
            if payload.is_final:
                self._message = None
                self.is_assembling = False
                self.queued_bytes += message.plain_bytes
                messages.append(message.finish())
        return len(part)

    def _read_control(self, opcode: int, payload: bytes) -> None:
        if opcode == Opcode.CLOSE:
            self.peer_close = parse_close(payload)
        elif opcode == Opcode.PING:
            if self.pongs is None:
                self.pongs = []
            self.pongs.append(encode_frame(Opcode.PONG, payload))


def _extended_length(digits: bytes) -> int:
    """Decode an extended length (§5.2): in its shortest form, and with a top bit of 0."""
    length = int.from_bytes(digits, "big")
    if length < (126 if len(digits) == 2 else 65_536):
        raise _broken("payload length not in its shortest form")
    if length >> 63:
        raise _broken("payload length with the top bit set")
    return length


def _broken(reason: str) -> ProtocolError:
    return ProtocolError(CloseCode.PROTOCOL_ERROR, reason)


def _not_utf8() -> ProtocolError:
    return ProtocolError(CloseCode.INVALID_PAYLOAD, "text is not UTF-8")
