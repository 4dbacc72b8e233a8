"""What a client may do wrong once it is connected, as literal bytes, and the close frame it gets
for it.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

from tests.support.hostile import MARKER
from tests.support.raw import BINARY, CLOSE, CONTINUATION, MASK, PING, PONG, TEXT, client_frame

LIMIT_BYTES = 65_536
MOST_FRAGMENTS = 4_096
DEFLATE_OFFER = ("Sec-WebSocket-Extensions", "permessage-deflate")

_NOT_MASKED = "frame is not masked, a client masks every frame"
_RESERVED = "reserved bit set, and no extension was agreed on that would mean something by it"
_SHORTEST = "payload length not in its shortest form"
_NO_START = "continuation without a message to continue"
_NOT_UTF8 = "text is not UTF-8"
_NO_DEFLATE = "compressed message is not valid DEFLATE"
_NEW_INSIDE = "new message inside a fragmented one"


class Fault(NamedTuple):
    """One thing to do wrong.

    Attributes:
        name: for pytest.
        data: what the client sends.
        code, reason: of the close frame that answers it.
        route: of the arena.
    """

    name: str
    data: bytes
    code: int
    reason: str
    route: str = "echo"


def _too_big(size: int, most: int = LIMIT_BYTES) -> str:
    return f"message of {size} bytes or more, at most {most} allowed"


def _head_of(size: int, first: int = 0x82) -> bytes:
    """A masked frame's head with a 64-bit length, and nothing behind it."""
    return bytes((first, 0xFF)) + size.to_bytes(8, "big") + MASK


def _marked(first: int) -> bytes:
    """A frame with a first byte of one's choice."""
    return bytes((first,)) + client_frame(TEXT, MARKER)[1:]


def _close(code: int) -> bytes:
    return client_frame(CLOSE, code.to_bytes(2, "big") + MARKER)


def _compressed(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


BOMB = client_frame(0x40 | BINARY, _compressed(bytes(60_000_000)))
"""A frame of 60 KB that inflates to 60 MB."""

_STARTED = client_frame(TEXT, MARKER, fin=False)

MASKS = (
    Fault("unmasked text", client_frame(TEXT, MARKER, mask=b""), 1002, _NOT_MASKED),
    Fault("unmasked ping", client_frame(PING, MARKER, mask=b""), 1002, _NOT_MASKED),
    Fault("unmasked close", client_frame(CLOSE, b"\x03\xe8", mask=b""), 1002, _NOT_MASKED),
)
RESERVED = (
    *(
        Fault(f"reserved bit {bit:#x} on {first:#x}", _marked(bit | first), 1002, _RESERVED)
        for bit in (0x10, 0x20, 0x40)
        for first in (0x81, 0x89)
    ),
    *(
        Fault(
            f"reserved opcode {code:#x}",
            _marked(0x80 | code),
            1002,
            f"opcode 0x{code:X} is reserved",
        )
        for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    ),
)
CONTROLS = (
    *(
        Fault(
            f"fragmented control frame {code:#x}", _marked(code), 1002, "fragmented control frame"
        )
        for code in (CLOSE, PING, PONG)
    ),
    *(
        Fault(
            f"long control frame {code:#x}",
            bytes((0x80 | code, 0xFE, 0, 126)),
            1002,
            "control frame over 125 bytes",
        )
        for code in (CLOSE, PING, PONG)
    ),
)
FRAGMENTS = (
    Fault("continuation of nothing", client_frame(CONTINUATION, MARKER), 1002, _NO_START),
    Fault(
        "endless continuation of nothing",
        client_frame(CONTINUATION, MARKER, fin=False),
        1002,
        _NO_START,
    ),
    Fault("text in a fragmented text", _STARTED + client_frame(TEXT, MARKER), 1002, _NEW_INSIDE),
    Fault(
        "binary in a fragmented text",
        _STARTED + client_frame(BINARY, MARKER, fin=False),
        1002,
        _NEW_INSIDE,
    ),
)
LENGTHS = (
    Fault("125 in 16 bits", b"\x81\xfe\x00\x7d", 1002, _SHORTEST),
    Fault("0 in 16 bits", b"\x81\xfe\x00\x00", 1002, _SHORTEST),
    Fault("5 in 64 bits", _head_of(5), 1002, _SHORTEST),
    Fault("65 535 in 64 bits", _head_of(65_535), 1002, _SHORTEST),
    Fault("top bit set", _head_of(1 << 63), 1002, "payload length with the top bit set"),
    Fault("all bits set", _head_of((1 << 64) - 1), 1002, "payload length with the top bit set"),
)
CLOSES = (
    Fault(
        "close payload of 1 byte",
        client_frame(CLOSE, b"\x03"),
        1002,
        "close payload of 1 byte, expected none or at least 2",
    ),
    *(
        Fault(f"close code {code}", _close(code), 1002, f"close code {code} may not travel")
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65_535)
    ),
    Fault(
        "close reason",
        client_frame(CLOSE, b"\x03\xe8" + MARKER + b"\xc3("),
        1007,
        "close reason is not UTF-8",
    ),
)
TEXTS = (
    Fault("bad text", client_frame(TEXT, MARKER + b"\xc3("), 1007, _NOT_UTF8),
    Fault("long bad text", client_frame(TEXT, MARKER * 100 + b"\xff"), 1007, _NOT_UTF8),
    Fault(
        "text that ends in a character", client_frame(TEXT, MARKER + b"\xe2\x82"), 1007, _NOT_UTF8
    ),
    Fault("surrogate", client_frame(TEXT, b"\xed\xa0\x80"), 1007, _NOT_UTF8),
    Fault("bad first fragment", client_frame(TEXT, MARKER + b"\xc0", fin=False), 1007, _NOT_UTF8),
    Fault(
        "bad second fragment",
        _STARTED + client_frame(CONTINUATION, b"\xf5", fin=False),
        1007,
        _NOT_UTF8,
    ),
    Fault(
        "bad before the end", client_frame(TEXT, b"\xc0\xaf" + MARKER * 50)[:40], 1007, _NOT_UTF8
    ),
)
SIZES = (
    Fault("a byte too many announced", _head_of(65_537), 1009, _too_big(65_537)),
    Fault("a text too long announced", _head_of(65_537, 0x81), 1009, _too_big(65_537)),
    Fault("a fragment too long announced", _head_of(65_537, 0x01), 1009, _too_big(65_537)),
    Fault("everything announced", _head_of((1 << 63) - 1), 1009, _too_big((1 << 63) - 1)),
    Fault(
        "fragments in sum",
        client_frame(BINARY, bytes(40_000), fin=False)
        + b"\x80\xfe"
        + (25_537).to_bytes(2, "big")
        + MASK,
        1009,
        _too_big(65_537),
    ),
    Fault(
        "a byte over the limit of the route",
        b"\x82\xfe\x00\x7e" + MASK,
        1009,
        _too_big(126, 125),
        "small",
    ),
    Fault(
        "single bytes",
        client_frame(BINARY, b"a", fin=False) + client_frame(CONTINUATION, b"a", fin=False) * 9_999,
        1008,
        f"message in over {MOST_FRAGMENTS} fragments",
    ),
    Fault(
        "empty fragments",
        client_frame(TEXT, fin=False) + client_frame(CONTINUATION, fin=False) * 20_000,
        1008,
        f"message in over {MOST_FRAGMENTS} fragments",
    ),
)
DEFLATE = (
    Fault("bomb", BOMB, 1009, "message inflates beyond the limit", "deflate"),
    Fault("no deflate", _marked(0xC2), 1007, _NO_DEFLATE, "deflate"),
    Fault("reserved block", client_frame(0x40 | TEXT, b"\x07"), 1007, _NO_DEFLATE, "deflate"),
    Fault(
        "bad text within",
        client_frame(0x40 | TEXT, _compressed(MARKER + b"\xff")),
        1007,
        _NOT_UTF8,
        "deflate",
    ),
    Fault(
        "endless final blocks",
        client_frame(0x40 | BINARY, b"\x03\x00" * 100),
        1008,
        "message of over 16 DEFLATE streams",
        "deflate",
    ),
    Fault("compressed ping", _marked(0xC9), 1002, _RESERVED, "deflate"),
    Fault("compressed continuation", _STARTED + _marked(0xC0), 1002, _RESERVED, "deflate"),
    Fault("other reserved bit", _marked(0xA1), 1002, _RESERVED, "deflate"),
    Fault("compressed and too long", _head_of(70_000, 0xC2), 1009, _too_big(70_000), "deflate"),
)

FAULTS = (*MASKS, *RESERVED, *CONTROLS, *FRAGMENTS, *LENGTHS, *CLOSES, *TEXTS, *SIZES, *DEFLATE)

ONE_OF_EACH = tuple({(fault.code, fault.reason): fault for fault in FAULTS}.values())
"""The last fault for each answer."""
