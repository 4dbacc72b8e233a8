"""The opening handshake, from a WSGI environ to a decision (RFC 6455 §4.2, §10.2).

`check` either gives the answer's `Sec-WebSocket-Accept` or raises `Refused`; nothing is written here.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from ..errors import Refused

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # §1.3
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")  # the base64 of 16 bytes (RFC 4648 §4)
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
MOST_ELEMENTS = 100
"""Elements of one list field that are looked at, also of subprotocols and extensions that may be offered."""
_TOKEN_CHARACTERS = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def is_token(text: str) -> bool:
    """Say whether `text` is a token (RFC 9110 §5.6.2): one or more of a small set of characters."""
    return bool(text) and _TOKEN_CHARACTERS.issuperset(text)


def split_tokens(value: str) -> list[str]:
    """Split a comma-separated header value; empty elements are dropped (RFC 9110 §5.6.1).

    Of one that is far too long only the first elements are given: clients send a handful.
    """
    pieces = value.split(",", MOST_ELEMENTS)[:MOST_ELEMENTS]
    return [part for part in (piece.strip(" \t") for piece in pieces) if part]


def has_token(value: str, token: str) -> bool:
    """Say whether a comma-separated header value has `token` as an element; letter case doesn't count."""
    return value.lower() == token or any(part.lower() == token for part in split_tokens(value))


def wants_websocket(environ: Mapping[str, Any]) -> bool:
    """Say whether a request asks for the WebSocket protocol (§4.2.1 item 3)."""
    return "HTTP_UPGRADE" in environ and has_token(environ["HTTP_UPGRADE"], "websocket")


def check(environ: Mapping[str, Any]) -> str:
    """Check all that RFC 6455 §4.2.1 asks of a client's handshake, the origin apart.

    Returns:
        The value of `Sec-WebSocket-Accept`.
    Raises:
        Refused: 400, 405 or 426.
    """
    if environ["REQUEST_METHOD"] != "GET":
        raise Refused(405, "a WebSocket handshake is a GET request", (("Allow", "GET"),))
    if environ.get("SERVER_PROTOCOL") != "HTTP/1.1":
        raise Refused(400, "a WebSocket handshake needs HTTP/1.1")
    if not has_token(environ.get("HTTP_CONNECTION", ""), "upgrade"):
        raise Refused(400, "header Connection lacks the token Upgrade")
    if environ.get("CONTENT_LENGTH") not in (None, "", "0") or "HTTP_TRANSFER_ENCODING" in environ:
        # The bytes of a body would be read as frames.
        raise Refused(400, "a WebSocket handshake has no body")
    host = environ.get("HTTP_HOST", "")
    if not host or "," in host:
        raise Refused(400, "exactly one Host header is expected")
    version = environ.get("HTTP_SEC_WEBSOCKET_VERSION")
    if version != "13":
        # RFC 9110 §15.5.22: a 426 must say in Upgrade what it asks for.
        fields = (("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket"))
        raise Refused(426, "only WebSocket version 13 is spoken here", fields)
    return accept_for(environ.get("HTTP_SEC_WEBSOCKET_KEY", ""))


def accept_for(key: str) -> str:
    """Compute `Sec-WebSocket-Accept` (§4.2.2 item 5.4).

    Args:
        key: `Sec-WebSocket-Key` as sent: base64 of 16 bytes. Two of them arrive joined by a comma, and fail.
    Raises:
        Refused: 400, it is anything else.
    """
    if not _KEY.fullmatch(key):
        raise Refused(400, "Sec-WebSocket-Key is not the base64 of 16 bytes")
    digest = hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False).decode()


def check_origin(origin: str | None, host: str, allowed: Collection[str]) -> None:
    """Hold the origin policy (§10.2): a page may connect to the host that it came from, or is named.

    Args:
        origin: the Origin header; None means that no browser asks.
        host: the Host under which this request came. Its scheme is not compared: a proxy that ends TLS
            makes "https" pages arrive here as "http".
        allowed: further origins, as "https://example.org:8443"; "*" allows any.
    Raises:
        Refused: 403.
    """
    if origin is None or "*" in allowed:
        return
    asking = _parse_origin(origin)
    if asking is not None:
        if asking[1:] == (_parse_origin(f"{asking[0]}://{host}") or ("",))[1:]:
            return
        if any(asking == _parse_origin(known) for known in allowed):
            return
    raise Refused(403, "this origin may not connect; see allowed_origins", detail=f"origin {origin[:200]!r}")


def _parse_origin(text: str) -> tuple[str, str, int] | None:
    """Scheme, host and port with the default filled in; None for "null", two origins or anything else."""
    try:
        parts = urlsplit(text)
        port = _DEFAULT_PORTS.get(parts.scheme, 0) if parts.port is None else parts.port
    except ValueError:
        return None
    # Compared as a whole: urlsplit drops control characters, and an empty query or fragment.
    is_all = text.lower() == f"{parts.scheme}://{parts.netloc}".lower()
    if not parts.scheme or not parts.hostname or not is_all or any(character in text for character in ",@ \t"):
        return None
    return parts.scheme, parts.hostname, port


def choose_subprotocol(offered: str | None, spoken: Iterable[str]) -> str | None:
    """Pick the first subprotocol of the client's list that the route speaks (§4.2.2 item 5.5).

    Args:
        offered: the `Sec-WebSocket-Protocol` header, None if there was none.
        spoken: the route's subprotocols; compared to the letter.
    Raises:
        Refused: 400, the header is no list of different tokens (§4.1 item 10).
    """
    if offered is None:
        return None
    names = split_tokens(offered)
    is_long = offered.count(",") >= MOST_ELEMENTS
    if is_long or not names or not all(map(is_token, names)) or len(set(names)) != len(names):
        raise Refused(400, "Sec-WebSocket-Protocol is no list of different tokens")
    known = frozenset(spoken)
    return next((name for name in names if name in known), None)
