"""Replaces the scheme that a proxy names: some send "wss", and Django only knows "https"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from ...addresses import forwarded

if TYPE_CHECKING:
    from ...websocket.bridge import Environ


def with_http_scheme(environ: Environ) -> Environ:
    """Copy an environ, with "https" for "wss" where Django looks for the scheme.

    That is `wsgi.url_scheme`, and the header of SECURE_PROXY_SSL_HEADER.
    """
    if not settings.SECURE_PROXY_SSL_HEADER:
        return forwarded.with_page_schemes({**environ})
    name, secure = settings.SECURE_PROXY_SSL_HEADER
    copied = forwarded.with_page_schemes({**environ}, name)
    said = environ.get(name)
    # The project itself may expect "wss" there.
    if said is not None and said.partition(",")[0].strip() == secure:
        copied[name] = said
    return copied
