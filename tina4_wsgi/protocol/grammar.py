"""Tokens and lists in header fields (RFC 9110 §5.6)."""

from __future__ import annotations

import re

TOKEN_CHARACTER = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
"""One `tchar` (§5.6.2), as a pattern."""

TOKEN_BYTE = TOKEN_CHARACTER.encode()
"""The same for bytes."""

MOST_ELEMENTS = 100
"""Most elements that are read of a list field, such as of subprotocols or extensions."""

_TOKEN = re.compile(f"{TOKEN_CHARACTER}+")


def is_token(text: str) -> bool:
    """Return whether a text is a token, such as a field name, subprotocol or extension."""
    return _TOKEN.fullmatch(text) is not None


def split_tokens(value: str) -> list[str]:
    """Split a comma-separated field value; empty elements are dropped (§5.6.1).

    Clients send a handful of elements. Those after the first `MOST_ELEMENTS` are not read.
    """
    pieces = value.split(",", MOST_ELEMENTS)[:MOST_ELEMENTS]
    return [part for part in (piece.strip(" \t") for piece in pieces) if part]


def has_token(value: str, token: str) -> bool:
    """Return whether `token`, in lower case, is in a comma-separated list in any letter case."""
    return value.lower() == token or any(part.lower() == token for part in split_tokens(value))
