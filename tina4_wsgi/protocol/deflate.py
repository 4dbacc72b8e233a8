"""permessage-deflate without context takeover (RFC 7692).

Every message is compressed by itself, both ways: an idle connection holds no zlib state (up to 300
KiB otherwise), and a broadcast is compressed once for all members that agreed on the same window.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

from ..errors import ProtocolError, Refused
from .frames import CloseCode, encode_frame
from .grammar import MOST_ELEMENTS, is_token

EXTENSION = "permessage-deflate"
COMPRESSED = 0x40
"""§6: RSV1 on the first frame of a message marks the message as compressed."""

_EMPTY_BLOCK = b"\x00\x00\xff\xff"  # §7.2.1: removed after each message, restored before inflating
_FINAL_BLOCK = b"\x01\x00\x00\xff\xff"  # RFC 1951 §3.2.4: stored, empty, the last
_LARGEST_WINDOW_BITS = 15
_SMALLEST_ZLIB_BITS = 9  # zlib has no raw window of 2^8, though §7.1.2.1 does
_WINDOWS: dict[str | None, int] = {str(bits): bits for bits in range(8, 16)}
"""§7.1.2: 8 to 15, without leading zeros."""

_MOST_STREAMS = 16
"""§7.2.3.5 lets a message hold several final blocks, each of which needs an inflater; no client
sends more than one.
"""


_FREE_BYTES = 16_384
"""A message of at most this size may inflate from any number of bytes: an attacker gains nothing by
sending many of these.
"""


class Offer(NamedTuple):
    """One element of `Sec-WebSocket-Extensions` (RFC 6455 §9.1)."""

    name: str
    parameters: list[tuple[str, str | None]]


class Agreement(NamedTuple):
    """What client and server agreed on.

    Attributes:
        window_bits: of what we send: 8-15.
        answer: the element for our `Sec-WebSocket-Extensions`.
    """

    window_bits: int
    answer: str


def parse_offers(header: str) -> list[Offer]:
    """Read a client's `Sec-WebSocket-Extensions`; several header lines arrive joined by commas.

    Raises:
        Refused: 400, it breaks the grammar of RFC 6455 §9.1.
    """
    # Quotes can't hide a separator, since a quoted value must also be a token (§9.1). Empty list
    # elements are dropped (RFC 9110 §5.6.1).
    elements = [element for element in header.split(",") if element.strip(" \t")]
    if len(elements) > MOST_ELEMENTS:
        raise _bad_header()

    offers = []
    for element in elements:
        name, *pieces = (piece.strip(" \t") for piece in element.split(";"))
        if not is_token(name):
            raise _bad_header()
        offers.append(Offer(name, [_parse_parameter(piece) for piece in pieces]))

    if not offers:
        raise _bad_header()
    return offers


def _parse_parameter(text: str) -> tuple[str, str | None]:
    name, equals, value = (piece.strip(" \t") for piece in text.partition("="))
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]  # §9.1: a quoted value must also be a token
    if not is_token(name) or (equals and not is_token(value)):
        raise _bad_header()
    return name, value if equals else None


def _bad_header() -> Refused:
    return Refused(400, "Sec-WebSocket-Extensions is no list of extensions")


def negotiate(offers: list[Offer]) -> Agreement | None:
    """Accept the first valid offer of permessage-deflate; None without one (§5.1, §7.1)."""
    for offer in offers:
        if offer.name == EXTENSION:
            agreement = _accept(offer)
            if agreement is not None:
                return agreement
    return None


def _accept(offer: Offer) -> Agreement | None:
    names = [name for name, _ in offer.parameters]
    if len(set(names)) != len(names):
        return None

    answer = [EXTENSION, "server_no_context_takeover", "client_no_context_takeover"]
    window_bits = _LARGEST_WINDOW_BITS
    for name, value in offer.parameters:
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            if value is not None:
                return None
        elif name == "server_max_window_bits":
            if value not in _WINDOWS:
                return None
            window_bits = _WINDOWS[value]
            answer.append(f"{name}={window_bits}")
        elif name == "client_max_window_bits":
            if value is not None and value not in _WINDOWS:
                return None
            # Its value is a hint. The inflater takes any window, so the answer asks for none.
        else:
            return None

    return Agreement(window_bits, "; ".join(answer))


class Inflater:
    """Inflates one message as its parts arrive.

    Args:
        most_bytes: largest size of the inflated message; no memory is allocated beyond it.
        most_times: how many times its own size a message may inflate to; 0 for any number. The size
            is what the headers of its frames have announced so far, so it doesn't matter in how
            many parts a frame arrives.

    Attributes:
        fault: the fault after all bytes that `inflate` returned, None without one.
    """

    __slots__ = (
        "_allowed_bytes",
        "_has_begun",
        "_inflated_bytes",
        "_most_bytes",
        "_most_times",
        "_streams",
        "_zlib",
        "fault",
    )

    def __init__(self, most_bytes: int, most_times: int = 0) -> None:
        self.fault: ProtocolError | None = None
        self._most_bytes = most_bytes
        self._most_times = most_times
        self._allowed_bytes = 0 if most_times else most_bytes
        self._inflated_bytes = 0
        self._streams = 1
        self._has_begun = False
        self._zlib = zlib.decompressobj(-_LARGEST_WINDOW_BITS)

    def expect(self, size_bytes: int) -> None:
        """Add the size of the message's next frame to what the message may inflate from."""
        self._allowed_bytes += self._most_times * size_bytes

    def inflate(self, part: bytes, is_last: bool) -> bytes:
        """Inflate the next part of the message.

        Use the returned bytes first and check `fault` afterwards, so it doesn't matter how the
        message was split. The fault's code is 1007 for invalid DEFLATE, 1008 for too many streams,
        1009 for a message that grows beyond a limit.
        """
        self._has_begun = self._has_begun or bool(part)
        if not self._has_begun:
            return b""  # some clients send no byte where §7.2.3.6 has one

        inflated = self._inflate(part + _EMPTY_BLOCK if is_last else part)
        while self.fault is None and self._zlib.unused_data:  # empty until a final block has come
            part = self._zlib.unused_data
            if is_last and part == _EMPTY_BLOCK:
                return inflated  # the message ended with a final block
            self._begin_stream()
            inflated += self._inflate(part)

        # A final empty block is valid between two blocks, but not inside a block.
        if is_last and (self._inflate(_FINAL_BLOCK) or not self._zlib.eof):
            self._fail(CloseCode.INVALID_PAYLOAD, "compressed message ends inside a block")
        return inflated

    def _begin_stream(self) -> None:
        self._zlib = zlib.decompressobj(-_LARGEST_WINDOW_BITS)
        self._streams += 1
        if self._streams > _MOST_STREAMS:
            self._fail(
                CloseCode.POLICY_VIOLATION, f"message of over {_MOST_STREAMS} DEFLATE streams"
            )

    def _inflate(self, part: bytes) -> bytes:
        if self.fault is not None:
            return b""
        most = min(self._most_bytes, max(self._allowed_bytes, _FREE_BYTES))
        try:
            # One byte more than allowed, to distinguish "just full" from "too much".
            inflated = self._zlib.decompress(part, most - self._inflated_bytes + 1)
        except zlib.error:
            self._fail(CloseCode.INVALID_PAYLOAD, "compressed message is not valid DEFLATE")
            return b""

        self._inflated_bytes += len(inflated)
        if self._inflated_bytes > self._most_bytes:
            self._fail(CloseCode.MESSAGE_TOO_BIG, "message inflates beyond the limit")
        elif self._inflated_bytes > most:
            self._fail(
                CloseCode.MESSAGE_TOO_BIG,
                f"message inflates to over {self._most_times} times its size",
            )
        return inflated

    def _fail(self, code: int, reason: str) -> None:
        if self.fault is None:
            self.fault = ProtocolError(code, reason)


def compress_frame(
    frame: bytes, window_bits: int, threshold_bytes: int, level: int, memory_level: int
) -> bytes:
    """Compress a whole data frame that `encode_message` returned.

    Args:
        frame: final, unmasked, uncompressed.
        window_bits: the agreed window, 8-15. With 8 no frame is compressed, as §6.1 always allows.
        threshold_bytes: shorter payloads stay as they are.
        level: of zlib, 1-9: how long it looks for repetitions.
        memory_level: of zlib, 1-9: the size of its tables, which are filled anew for each message.
    Returns:
        The compressed frame, or `frame` itself where compression gains nothing.
    """
    start = 2 if frame[1] < 126 else 4 if frame[1] == 126 else 10
    if len(frame) - start < threshold_bytes or window_bits < _SMALLEST_ZLIB_BITS:
        return frame
    compressor = zlib.compressobj(level, zlib.DEFLATED, -window_bits, memory_level)
    payload = compressor.compress(memoryview(frame)[start:]) + compressor.flush(zlib.Z_SYNC_FLUSH)
    compressed = encode_frame(frame[0] & 0x0F, payload[: -len(_EMPTY_BLOCK)], COMPRESSED)
    return compressed if len(compressed) < len(frame) else frame
