"""Decides by ALLOWED_HOSTS and CSRF_TRUSTED_ORIGINS which pages may connect, as Django does."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.wsgi import WSGIRequest
from django.utils.http import is_same_domain

from ...addresses.origins import parse, shown
from ...errors import Refused
from ...protocol import handshake
from .scheme import with_http_scheme

if TYPE_CHECKING:
    from ...config import Config
    from ...websocket.bridge import Environ


def check(environ: Environ, host: str, limits: Config) -> None:
    """Enforce the origin policy of the project; a request without Origin passes: no browser's.

    Args:
        host: under which the request came, for `allowed_origins`.
        limits: has the `allowed_origins`, if any; then these and the pages of `host` may connect.
    Raises:
        Refused: 400, the host is none of ALLOWED_HOSTS; 403, the page's origin is not trusted.
    """
    request = WSGIRequest(with_http_scheme(environ))
    try:
        own_host = request.get_host()
    except DisallowedHost as exc:
        raise Refused(
            400, "this host is not served here; see ALLOWED_HOSTS", detail=repr(host[:200])
        ) from exc

    origin = environ.get("HTTP_ORIGIN")
    own_origin = f"{request.scheme}://{own_host}"
    if origin is None or origin == own_origin or _is_trusted(origin):
        return
    if limits.allowed_origins:
        handshake.check_page(environ, host, limits.allowed_origins, limits.trusted_proxies)
        return

    raise Refused(
        403,
        "this origin may not connect; see CSRF_TRUSTED_ORIGINS",
        detail=(
            f"the page is of origin {shown(origin)}, for Django the request came for "
            f"{shown(own_origin)}; "
        )
        + _what_to_set(origin, own_origin),
    )


def _what_to_set(origin: str, own_origin: str) -> str:
    asking, own = parse(origin), parse(own_origin)
    if asking is None or own is None or asking.host.name != own.host.name:
        return f"to let its pages in: CSRF_TRUSTED_ORIGINS = [{shown(origin)}]"
    if asking.scheme != own.scheme and asking.has_own_port and own.has_own_port:
        return "if a proxy ends TLS, name the header in which it says so in SECURE_PROXY_SSL_HEADER"
    if own.has_own_port and not asking.has_own_port:
        return "the Host has lost its port on the way: in nginx, proxy_set_header Host $http_host"
    return f"to let its pages in: CSRF_TRUSTED_ORIGINS = [{shown(origin)}]"


def _is_trusted(origin: str) -> bool:
    """Return whether an origin is trusted: a whole one, or a scheme, "*." and the end of a host."""
    trusted: list[str] = settings.CSRF_TRUSTED_ORIGINS
    if origin in (known for known in trusted if "*" not in known):
        return True

    try:
        asking = urlsplit(origin)
    except ValueError:
        return False

    # As CsrfViewMiddleware compares them.
    patterns = (urlsplit(known) for known in trusted if "*" in known)
    return any(
        asking.scheme == known.scheme and is_same_domain(asking.netloc, known.netloc.lstrip("*"))
        for known in patterns
    )
