"""The bytes of messages between processes, on the bus and in Redis channels.

    bytes   content
    0-3     size of everything that follows, big-endian; on the bus alone, since Redis frames
            messages itself
    4       version, 1
    5       kind; one that this version doesn't know is skipped, since processes of two versions
            meet while an app is deployed
    6-13    number: counts a sender's messages; in ACK, ASK, ANSWER and RESUMED the number of the
            message or question that is meant; 0 for none
    14-29   sender: 16 random bytes that a process chose for itself
    30-31   size of the name, big-endian
    32-     name in UTF-8, a path or a room; then the body

The body of PATH, ROOM, LOST_PATH and LOST_ROOM is one whole WebSocket frame. It goes to clients
unchanged, so it is checked like the frame of a stranger. In KEPT a line of text stands before it.
The body of a bell is empty. All other bodies are JSON of at most `MOST_JSON_BYTES`. Nothing is ever
unpickled.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from .. import jsontext
from ..errors import Tina4Error, UsageError

if TYPE_CHECKING:
    from .contract import Facts

VERSION = 1

MOST_BYTES = 64 << 20
"""Size limit of an envelope; a larger one is refused before memory is allocated for it."""

MOST_JSON_BYTES = 16 << 20
"""Enough for the list of members of a path with 100,000 clients."""

MOST_NAME_BYTES = 65_535

SENDER_BYTES = 16
NOBODY = bytes(SENDER_BYTES)

_SIZE = struct.Struct(">I")
_HEAD = struct.Struct(f">BBQ{SENDER_BYTES}sH")
_TEXT_FRAME, _BINARY_FRAME = 0x81, 0x82  # final, not compressed (RFC 6455 §5.2)


class Kind(IntEnum):
    """What an envelope is for."""

    HELLO = 1  # names the process that sends on this link
    PATH = 2  # a broadcast to a path
    ROOM = 3  # a broadcast to a named room
    ACK = 4  # says to how many clients message `number` was handed
    ASK = 5  # a question; `number` counts the asker's
    ANSWER = 6  # the answer to question `number`
    SKIP = 7  # asks for no more broadcasts to a path or room, since nobody here is in it
    RESUME = 8  # asks for them again
    RESUMED = 9  # says that the next broadcast to it will be sent
    PATH_BELL = 10  # says that the journal has news of a path
    ROOM_BELL = 11  # the same of a named room
    LOST_PATH = 12  # a broadcast that should have been kept and could not be
    LOST_ROOM = 13  # the same to a named room
    KEPT = 14  # a broadcast that Redis has kept; see `redis.kept`
    POINT = 15  # says where the journal in Redis is


_KINDS = {int(kind): kind for kind in Kind}
_IS_FRAME = frozenset({Kind.PATH, Kind.ROOM, Kind.LOST_PATH, Kind.LOST_ROOM})
_CARRIES_FRAME = _IS_FRAME | {Kind.KEPT}

TOPIC_OF = {
    Kind.PATH: Kind.PATH,
    Kind.PATH_BELL: Kind.PATH,
    Kind.LOST_PATH: Kind.PATH,
    Kind.ROOM: Kind.ROOM,
    Kind.ROOM_BELL: Kind.ROOM,
    Kind.LOST_ROOM: Kind.ROOM,
}
"""What the envelopes that are for the members of a path or room are about."""

BELL_OF = {Kind.PATH: Kind.PATH_BELL, Kind.ROOM: Kind.ROOM_BELL}
"""As what the others are told that the journal has news."""

LOST_OF = {Kind.PATH: Kind.LOST_PATH, Kind.ROOM: Kind.LOST_ROOM}
"""As what a broadcast goes that should have been kept and could not be."""


class EnvelopeError(Tina4Error):
    """Bytes aren't an envelope. The message never quotes them."""


class Envelope(NamedTuple):
    """One message between processes; the module docstring explains the fields."""

    kind: Kind
    name: str
    body: bytes
    sender: bytes = NOBODY
    number: int = 0

    def json(self) -> Facts:
        """Decode the body as a JSON object.

        Raises:
            EnvelopeError: it is something else.
        """
        try:
            found = jsontext.decode(self.body)
        except ValueError as exc:
            raise EnvelopeError(f"body of {self.kind.name} is not JSON: {exc}") from None

        if not isinstance(found, dict):
            raise EnvelopeError(f"body of {self.kind.name} is JSON, but no object")
        return found


def pack(kind: Kind, name: str, body: bytes, sender: bytes = NOBODY, number: int = 0) -> bytes:
    """Encode an envelope, without the size in front.

    Raises:
        UsageError: the name or the body is too long.
    """
    try:
        name_bytes = name.encode()
    except UnicodeEncodeError as exc:
        raise UsageError(
            f"name holds {exc.object[exc.start]!r}, which UTF-8 can't express"
        ) from exc

    if len(name_bytes) > MOST_NAME_BYTES:
        raise UsageError(
            f"name of {len(name_bytes)} bytes, at most {MOST_NAME_BYTES} can be told to other "
            "processes"
        )

    limit_bytes = MOST_BYTES if kind in _CARRIES_FRAME else MOST_JSON_BYTES
    most_bytes = limit_bytes - _HEAD.size - len(name_bytes)
    if len(body) > most_bytes:
        raise UsageError(
            f"message of {len(body)} bytes, at most {most_bytes} can be told to other processes"
        )

    return _HEAD.pack(VERSION, kind, number, sender, len(name_bytes)) + name_bytes + body


def pack_json(kind: Kind, name: str, body: Facts, sender: bytes = NOBODY, number: int = 0) -> bytes:
    """Encode an envelope with a JSON body; raises like `pack`, and TypeError for other values."""
    return pack(kind, name, jsontext.encode_bytes(body), sender, number)


def sized(packed: bytes) -> bytes:
    """Put the size in front of a packed envelope, for a link that is a stream."""
    return _SIZE.pack(len(packed)) + packed


def unpack(data: bytes) -> Envelope | None:
    """Decode an envelope that has no size in front.

    Returns:
        The envelope; None for one of a kind that only a newer version knows.
    Raises:
        EnvelopeError: the bytes aren't an envelope, or one of another version.
    """
    _check_start(data)
    if len(data) < _HEAD.size:
        raise EnvelopeError(f"{len(data)} bytes, expected at least {_HEAD.size}")

    _, kind_number, number, sender, name_size = _HEAD.unpack_from(data)
    if kind_number not in _KINDS:
        return None
    end = _HEAD.size + name_size
    if end > len(data):
        raise EnvelopeError(f"name of {name_size} bytes in an envelope of {len(data)}")
    try:
        name = data[_HEAD.size : end].decode()
    except UnicodeDecodeError:
        raise EnvelopeError("name is not UTF-8") from None

    kind, body = _KINDS[kind_number], data[end:]
    if kind in _IS_FRAME:
        check_frame(body)
    elif kind not in _CARRIES_FRAME and len(data) > MOST_JSON_BYTES:
        raise EnvelopeError(f"{kind.name} of {len(data)} bytes, at most {MOST_JSON_BYTES} allowed")
    return Envelope(kind, name, body, sender, number)


def _check_start(data: bytes, at: int = 0) -> None:
    """Check version and kind, as far as they have arrived."""
    if len(data) > at and data[at] != VERSION:
        raise EnvelopeError(f"version {data[at]}, expected {VERSION}")
    if len(data) > at + 1 and not data[at + 1]:
        raise EnvelopeError("kind 0, expected 1 or more")


def check_frame(frame: bytes) -> None:
    """Check that `frame` is one whole, final, unmasked text or binary frame (RFC 6455 §5.2).

    Raises:
        EnvelopeError: it is not.
    """
    if len(frame) < 2 or frame[0] not in (_TEXT_FRAME, _BINARY_FRAME) or frame[1] > 127:
        raise EnvelopeError("body is no final, unmasked text or binary frame")

    size, start = frame[1], 2
    if size == 126:
        size, start = int.from_bytes(frame[2:4], "big"), 4
    elif size == 127:
        size, start = int.from_bytes(frame[2:10], "big"), 10

    # A size must be written in the fewest bytes that hold it (RFC 6455 §5.2).
    least = {2: 0, 4: 126, 10: 65_536}[start]
    if size < least or len(frame) != start + size:
        raise EnvelopeError(f"frame announces {size} bytes and has {len(frame) - start}")

    if frame[0] == _TEXT_FRAME:
        try:
            frame[start:].decode()
        except UnicodeDecodeError:
            raise EnvelopeError("text frame is not UTF-8") from None


class EnvelopeReader:
    """Splits a stream into envelopes; keeps at most one unfinished one of at most `MOST_BYTES`."""

    def __init__(self) -> None:
        # Joined only when the envelope is whole: joining each time is quadratic.
        self._parts: list[bytes] = []
        self._held_bytes = 0
        self._wanted_bytes = 0

    def feed(self, data: bytes, into: list[Envelope]) -> None:
        """Take received bytes, and append each whole envelope of a known kind to `into`.

        Raises:
            EnvelopeError: the stream is garbage from here on; what came before is in `into`.
        """
        if self._parts:
            self._parts.append(data)
            self._held_bytes += len(data)
            if self._held_bytes < self._wanted_bytes:
                return
            data = b"".join(self._parts)
            self._parts = []

        at, end = 0, len(data)
        while end - at >= _SIZE.size:
            stop = at + _SIZE.size + _checked_size(data, at)
            if stop > end:
                break
            envelope = unpack(data[at + _SIZE.size : stop])
            if envelope is not None:
                into.append(envelope)
            at = stop

        if at < end:
            self._keep(data[at:])

    def _keep(self, rest: bytes) -> None:
        self._parts = [rest]
        self._held_bytes = len(rest)
        # Version and kind tell garbage from an envelope, so no size is believed before they are
        # there.
        is_told = len(rest) >= _SIZE.size + 2
        self._wanted_bytes = _SIZE.size + (_checked_size(rest, 0) if is_told else 2)


def _checked_size(data: bytes, at: int) -> int:
    size: int = _SIZE.unpack_from(data, at)[0]
    if not _HEAD.size <= size <= MOST_BYTES:
        raise EnvelopeError(f"envelope of {size} bytes, expected {_HEAD.size} to {MOST_BYTES}")
    _check_start(data, at + _SIZE.size)
    return size
