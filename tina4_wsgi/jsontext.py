"""JSON as this package writes and reads it: strict RFC 8259, UTF-8, compact.

`json.dumps` with options builds an encoder for every call; these are built once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, NoReturn
from uuid import UUID

_SPELLED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
Encode = Callable[[object], str]

Message = str | bytes | dict[str, Any] | list[Any]
"""What may be sent: a list or a dict goes as JSON text."""

_KNOWN = "dict, list, str, number, bool, None, date, time, UUID or Decimal"


def encode(data: object) -> str:
    """Write a value as JSON text; dates become ISO 8601, `UUID` and `Decimal` their text.

    Raises:
        TypeError: something in it has no form in JSON.
        ValueError: NaN, an infinity, or a list or dict that holds itself.
    """
    return _encode(data)


def encoder(default: Callable[[Any], Any]) -> Encode:  # Any: the application's own types
    """Return a function that encodes as `encode` does, and asks `default` about other types.

    Args:
        default: takes a value and returns a stand-in that has a form in JSON, or raises TypeError.
            Stand-ins are written by the same rules: NaN stays refused, a date inside becomes ISO
            8601.
    """

    def stand_in(value: object) -> object:
        if isinstance(value, _PLAIN):
            return _plain(value)
        try:
            return default(value)
        except TypeError as exc:
            raise TypeError(
                f"{type(value).__name__} has no form in JSON, expected {_KNOWN}, "
                f"or a type that the application's JSON encoder knows ({exc})"
            ) from exc

    return json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=stand_in
    ).encode


def as_message(message: Any, encode_json: Encode = encode) -> Any:
    """Return what is sent for a message: a list or a dict as JSON text, anything else as it is.

    What is no text and no bytes either is refused when it becomes a frame.

    Raises:
        TypeError, ValueError: as `encode` does.
    """
    return encode_json(message) if isinstance(message, dict | list) else message


def encode_bytes(data: object) -> bytes:
    """Write a value as JSON in UTF-8; raises as `encode` does."""
    text = _encode(data)
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Half a surrogate pair has no UTF-8, but JSON can still spell it, as \\ud800.
        return _encode_ascii(data).encode()


def decode(body: bytes | str) -> Any:  # Any: whatever the JSON holds
    """Read JSON.

    Raises:
        ValueError: it isn't JSON in UTF-8, or spells half of a surrogate pair, which no text in
            UTF-8 can hold; the message says where, on one line.
    """
    try:
        text = body if isinstance(body, str) else body.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ValueError(f"not UTF-8 at byte {exc.start}") from None
    if not text.strip():
        raise ValueError("empty, expected JSON")

    try:
        found = _decode(text)
        if "\\u" in text and _SPELLED_SURROGATE.search(text):
            _refuse_halves(_encode_leniently(found))
        elif not isinstance(body, bytes):
            _refuse_halves(text)
        return found
    except json.JSONDecodeError as exc:
        raise ValueError(f"{exc.msg} at line {exc.lineno} column {exc.colno}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_halves(text: str) -> None:
    """Refuse half a surrogate pair: no message, path, room or file could hold it."""
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise ValueError(
            f"\\u{ord(exc.object[exc.start]):04x} is half of a surrogate pair"
        ) from None


_PLAIN = (datetime, date, time, UUID, Decimal)


def _plain(value: object) -> str:
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (UUID, Decimal)):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON, expected {_KNOWN}")


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
).encode
# What was decoded holds nothing that needs a stand-in.
_encode_leniently = json.JSONEncoder(ensure_ascii=False).encode
_encode_ascii = json.JSONEncoder(allow_nan=False, separators=(",", ":"), default=_plain).encode
_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode
