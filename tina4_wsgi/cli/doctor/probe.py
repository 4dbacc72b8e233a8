"""One upgrade request to a running site, and what the answer says about the way there."""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
from collections.abc import Iterator
from urllib.parse import urlsplit

from ...hosting.checks import Finding
from ...protocol.handshake import accept_for

_TIMEOUT_S = 10.0
_SCHEMES = {"ws": "http", "wss": "https", "http": "http", "https": "https"}

_GOODBYE = b"\x88\x82" + bytes(4) + b"\x03\xe8"
"""A masked close frame with code 1000 (RFC 6455 §5.5.1): else the server would note a broken line,
1006.
"""

_NGINX = (
    "in nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
    "proxy_set_header Connection $connection_upgrade"
)
_ORIGIN = (
    "let the proxy pass the Host on (in nginx: proxy_set_header Host $http_host), or name it in "
    "allowed_origins"
)


def probe(url: str, origin: str | None = None) -> Iterator[Finding]:
    """Ask for an upgrade as a page would.

    Args:
        url: of a WebSocket route, with the scheme ws, wss, http or https.
        origin: of the page; by default that of the URL itself.
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
    kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=_TIMEOUT_S)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("GET", path, headers=fields)
        answer = connection.getresponse()
        body = "" if answer.status == 101 else answer.read(2_000).decode(errors="replace")
        if answer.status == 101 and connection.sock is not None:
            with contextlib.suppress(OSError):  # it may have gone first
                connection.sock.sendall(_GOODBYE)
    except (OSError, http.client.HTTPException) as exc:
        reason = str(exc) or type(exc).__name__
        yield Finding(
            f"{url}: no answer, {reason}", "start the server, or correct the address", is_fatal=True
        )
        return
    finally:
        connection.close()
    if answer.status == 101 and answer.getheader("Sec-WebSocket-Accept") != accept_for(key):
        yield Finding(
            f"{url} answers 101 to another key", "look for a cache on the way", is_fatal=True
        )
    elif answer.status != 101:
        yield Finding(
            f"{url} answers {answer.status}",
            _advice(answer.status, body, fields["Origin"]),
            is_fatal=True,
        )


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
        501: "the server offers no socket: run gunicorn -k gevent",
        503: "the server is full, or is being stopped: see max_connections",
    }.get(status, "something on the way answers that is not the app; look there first")
