"""Sends one upgrade request to a running site, and explains the response."""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...hosting.checks import Finding
from ...protocol.handshake import accept_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from urllib.parse import SplitResult

_TIMEOUT_S = 10.0
_MOST_BODY_BYTES = 2_000
_SCHEMES = {"ws": "http", "wss": "https", "http": "http", "https": "https"}

_GOODBYE = b"\x88\x82" + bytes(4) + b"\x03\xe8"
"""A masked close frame 1000 (RFC 6455 §5.5.1). Without it the server would log 1006."""

_NGINX = (
    "in nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
    "proxy_set_header Connection $connection_upgrade"
)
_ORIGIN = (
    "let the proxy pass the Host on (in nginx: proxy_set_header Host $http_host), or name it in "
    "allowed_origins"
)


def probe(url: str, origin: str | None = None) -> Iterator[Finding]:
    """Ask for an upgrade as a page would, and report what goes wrong.

    Args:
        url: of a WebSocket route, with the scheme ws, wss, http or https.
        origin: of the page; by default that of `url`.
    """
    parts = urlsplit(url)
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not parts.hostname:
        yield Finding(
            f"{url!r} is no address",
            "write it as http://127.0.0.1:7148/ws/chat/general",
            is_fatal=True,
        )
        return

    key = base64.b64encode(os.urandom(16)).decode()
    fields = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
        "Origin": origin or f"{scheme}://{parts.netloc}",
    }
    try:
        status, accept, body = _ask(scheme, parts, fields)
    except (OSError, http.client.HTTPException) as exc:
        reason = str(exc) or type(exc).__name__
        yield Finding(
            f"{url}: no answer, {reason}", "start the server, or correct the address", is_fatal=True
        )
        return

    if status != 101:
        advice = _advice(status, body, fields["Origin"])
        yield Finding(f"{url} answers {status}", advice, is_fatal=True)
    elif accept != accept_for(key):
        yield Finding(
            f"{url} answers 101 to another key", "look for a cache on the way", is_fatal=True
        )


def _ask(scheme: str, parts: SplitResult, fields: dict[str, str]) -> tuple[int, str | None, str]:
    """Send the handshake; return the response's status, Sec-WebSocket-Accept and body."""
    kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    with contextlib.closing(
        kind(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
    ) as connection:
        connection.request("GET", path, headers=fields)
        answer = connection.getresponse()
        if answer.status != 101:
            body = answer.read(_MOST_BODY_BYTES).decode(errors="replace")
            return answer.status, None, body

        if connection.sock is not None:
            with contextlib.suppress(OSError):  # the server may have closed first
                connection.sock.sendall(_GOODBYE)
        return answer.status, answer.getheader("Sec-WebSocket-Accept"), ""


def _advice(status: int, body: str, origin: str) -> str:
    if status == 426 or (status == 400 and "Connection" in body):
        return f"a proxy on the way drops Upgrade or Connection: {_NGINX}"
    if status == 403 and "origin" in body:
        return f"the origin {origin} is refused: {_ORIGIN}"

    return {
        401: "the route asks for a login, which a probe doesn't have: give it a token in the query",
        403: "the route's auth refuses",
        404: "no WebSocket route has this path",
        421: "the server doesn't serve this host: name it in allowed_hosts",
        501: "the server can't hand over its sockets: its answer names those that can",
        503: "the server is full, or is being stopped: see max_connections",
    }.get(status, "something on the way answers that is not the app; look there first")
