"""Frames that a server sends, with their opcodes and close codes (RFC 6455 §5.2, §5.5, §7.4)."""

from __future__ import annotations

from enum import IntEnum

from ..errors import ProtocolError, UsageError
from .framing import frame_of, text_frame

MAX_CONTROL_PAYLOAD_BYTES = 125
"""§5.5: the longest payload of a control frame."""

_FIN = 0x80
_WHOLE_BINARY = 0x82


class Opcode(IntEnum):
    """The opcodes of §5.2; 0x3-0x7 and 0xB-0xF are reserved."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class CloseCode(IntEnum):
    """The codes of §7.4.1 and its IANA registry; 4401 and 4403 are this framework's own."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS = 1005
    ABNORMAL = 1006
    INVALID_PAYLOAD = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE = 1015
    UNAUTHENTICATED = 4401
    FORBIDDEN = 4403


REGISTERED_CODES = frozenset(
    (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014)
)
"""The codes below 3000 that a close frame may carry: 1005, 1006 and 1015 are never sent (§7.4.1).
"""


def may_travel(code: int) -> bool:
    """Return whether a close frame may carry `code`: a registered one, or 3000-4999 (§7.4.2)."""
    return code in REGISTERED_CODES or 3000 <= code <= 4999


def encode_frame(opcode: int, payload: bytes, reserved: int = 0) -> bytes:
    """Lay out one final, unmasked frame (§5.1: a server never masks).

    Args:
        opcode: see `Opcode`.
        payload: any length up to 2^63 - 1; for a control frame at most 125 bytes, which the caller
            has checked.
        reserved: RSV bits, already in place: 0x40 marks a compressed message (RFC 7692 §6).
    """
    return frame_of(_FIN | reserved | opcode, payload)


def encode_message(message: str | bytes) -> bytes:
    """Lay out a whole message as one frame: str as text, bytes-like as binary (§5.6).

    Raises:
        UsageError: neither str nor bytes-like, or a str that UTF-8 can't express (a lone
            surrogate).
    """
    if isinstance(message, str):  # the usual case, and a hot path
        text = message if type(message) is str else str.__str__(message)
        try:
            return text_frame(text)
        except UnicodeEncodeError as exc:
            raise UsageError(
                f"text holds {exc.object[exc.start]!r}, which UTF-8 can't express"
            ) from exc

    if type(message) is not bytes:
        if not isinstance(message, bytes | bytearray | memoryview):
            raise UsageError(
                f"message is a {type(message).__name__}, expected str, bytes, or a list or dict to "
                "be sent as JSON"
            )
        message = bytes(message)
    return frame_of(_WHOLE_BINARY, message)


def encode_close(code: int, reason: str = "") -> bytes:
    """Lay out a close frame (§5.5.1).

    Args:
        code: one that may travel, or 1005 for a frame without a code.
        reason: at most 123 bytes once in UTF-8; longer text is cut between characters.
    Raises:
        UsageError: the code may not travel.
    """
    return encode_frame(Opcode.CLOSE, close_payload(code, reason))


def close_payload(code: int, reason: str = "") -> bytes:
    """Lay out the body of a close frame (§5.5.1): two bytes of code, big-endian, then the reason.

    Arguments and errors are those of `encode_close`.
    """
    if code == CloseCode.NO_STATUS:
        return b""
    if not may_travel(code):
        raise UsageError(
            f"close code {code} may not travel, expected 1000-1003, 1007-1014 or 3000-4999"
        )
    text = reason.encode(errors="replace")[: MAX_CONTROL_PAYLOAD_BYTES - 2]
    return code.to_bytes(2, "big") + text.decode(errors="ignore").encode()


def parse_close(payload: bytes) -> tuple[int, str]:
    """Read the body of a peer's close frame.

    Returns:
        Code and reason; 1005 and "" for an empty body.
    Raises:
        ProtocolError: one byte, a code that may not travel (1002), a reason that isn't UTF-8
            (1007).
    """
    if not payload:
        return CloseCode.NO_STATUS, ""

    if len(payload) == 1:
        raise ProtocolError(
            CloseCode.PROTOCOL_ERROR, "close payload of 1 byte, expected none or at least 2"
        )

    code = int.from_bytes(payload[:2], "big")
    if not may_travel(code):
        raise ProtocolError(CloseCode.PROTOCOL_ERROR, f"close code {code} may not travel")

    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError as exc:
        raise ProtocolError(CloseCode.INVALID_PAYLOAD, "close reason is not UTF-8") from exc
