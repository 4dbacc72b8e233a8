"""Which pages may connect: the project's ALLOWED_HOSTS and CSRF_TRUSTED_ORIGINS, matched as Django matches them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.wsgi import WSGIRequest
from django.utils.http import is_same_domain

from ...errors import Refused
from ...protocol import handshake
from .scheme import with_http_scheme


def check(environ: Mapping[str, Any], host: str, further: Collection[str]) -> None:
    """Hold the origin policy of the project; a request without Origin comes from no browser, and passes.

    Args:
        host: under which the request came, for `further`.
        further: origins of our own setting `allowed_origins`, which are allowed too.
    Raises:
        Refused: 400, the host is none of ALLOWED_HOSTS; 403, the page's origin is not trusted.
    """
    request = WSGIRequest(with_http_scheme(environ))
    try:
        own_host = request.get_host()
    except DisallowedHost as exc:
        raise Refused(400, "this host is not served here; see ALLOWED_HOSTS", detail=repr(host[:200])) from exc
    origin = environ.get("HTTP_ORIGIN")
    if origin is None or origin == f"{request.scheme}://{own_host}" or _is_trusted(origin):
        return
    if not further:
        raise Refused(403, "this origin may not connect; see CSRF_TRUSTED_ORIGINS", detail=f"origin {origin[:200]!r}")
    handshake.check_origin(origin, host, further)


def _is_trusted(origin: str) -> bool:
    """Compare as CsrfViewMiddleware does: whole origins, or a scheme with "*." and the end of a host."""
    trusted: list[str] = settings.CSRF_TRUSTED_ORIGINS
    if origin in (known for known in trusted if "*" not in known):
        return True
    try:
        asking = urlsplit(origin)
    except ValueError:
        return False
    patterns = (urlsplit(known) for known in trusted if "*" in known)
    return any(
        asking.scheme == known.scheme and is_same_domain(asking.netloc, known.netloc.lstrip("*")) for known in patterns
    )
