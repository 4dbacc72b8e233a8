"""The scheme that a proxy names: some say "wss" for a WebSocket, where Django knows https alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings

from ...addresses import forwarded


def with_http_scheme(environ: Mapping[str, Any]) -> dict[str, Any]:  # Any: what WSGI puts there
    """Copy an environ, with "https" for "wss" where Django looks for the scheme.

    That is `wsgi.url_scheme`, and the header of SECURE_PROXY_SSL_HEADER.
    """
    if not settings.SECURE_PROXY_SSL_HEADER:
        return forwarded.with_page_schemes({**environ})
    name, secure = settings.SECURE_PROXY_SSL_HEADER
    copied = forwarded.with_page_schemes({**environ}, name)
    said = environ.get(name)
    # A project may have written "wss" there itself.
    if said is not None and said.partition(",")[0].strip() == secure:
        copied[name] = said
    return copied
