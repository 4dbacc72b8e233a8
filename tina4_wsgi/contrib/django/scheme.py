"""The scheme that a proxy names: some say "wss" for a WebSocket, where Django knows https alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings

_OF_HTTP = {"ws": "http", "wss": "https"}


def with_http_scheme(environ: Mapping[str, Any]) -> dict[str, Any]:  # Any: what WSGI puts there
    """Copy an environ, with "https" for "wss" where Django looks for the scheme.

    That is `wsgi.url_scheme`, and the header of SECURE_PROXY_SSL_HEADER.
    """
    copied = dict(environ)
    copied["wsgi.url_scheme"] = _of_http(copied.get("wsgi.url_scheme", "http"))
    if settings.SECURE_PROXY_SSL_HEADER:
        name, secure = settings.SECURE_PROXY_SSL_HEADER
        said = copied.get(name)
        # A project may have written "wss" there itself.
        if said is not None and _first(said) != secure:
            copied[name] = _of_http(said)
    return copied


def _of_http(said: str) -> str:
    first = _first(said)
    return _OF_HTTP.get(first.lower(), said)


def _first(said: str) -> str:
    return said.partition(",")[0].strip()
