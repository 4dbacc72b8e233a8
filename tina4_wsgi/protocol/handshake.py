"""The opening handshake, from a WSGI environ to a decision (RFC 6455 §4.2, §10.2).

`read` takes the values that RFC 6455 names from the environ, once, and the methods of `Handshake`
decide on them. Each returns its part of the answer or raises `Refused`; nothing is written here.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

from ..addresses import forwarded, hosts, origins
from ..errors import Refused
from .deflate import negotiate, parse_offers
from .grammar import MOST_ELEMENTS, has_token, is_token, split_tokens

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ..addresses.forwarded import Environ
    from ..addresses.origins import Allowed, Origin
    from .deflate import Agreement

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # §1.3
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")  # the base64 of 16 bytes (RFC 4648 §4)


class Handshake(NamedTuple):
    """A client's opening handshake, as it was sent.

    Attributes:
        method: the method of the request.
        path: as in WSGI, its bytes decoded as latin-1 (PEP 3333); "/" for an empty path.
        host: the field Host, "" without one.
        origin: the field Origin; None without one, so the client is no browser.
        version: `Sec-WebSocket-Version`, None without one.
        key: `Sec-WebSocket-Key`, "" without one.
        subprotocols: `Sec-WebSocket-Protocol`, None without one.
        extensions: `Sec-WebSocket-Extensions`, None without one.
        refusal: why §4.2.1 forbids accepting the handshake, its key aside; None if it doesn't.
    """

    method: str
    path: str
    host: str
    origin: str | None
    version: str | None
    key: str
    subprotocols: str | None
    extensions: str | None
    refusal: Refused | None

    def accept(self) -> str:
        """Return the value of the answer's `Sec-WebSocket-Accept`.

        Raises:
            Refused: 400, 405 or 426, §4.2.1 forbids accepting this handshake.
        """
        if self.refusal is not None:
            raise self.refusal
        return accept_for(self.key)

    def choose_subprotocol(self, spoken: Iterable[str]) -> str | None:
        """Return the first offered subprotocol that the route speaks; see `choose_subprotocol`."""
        return choose_subprotocol(self.subprotocols, spoken)

    def agree_on_deflate(self, is_wanted: bool) -> Agreement | None:
        """Return the agreement on permessage-deflate, None without one.

        Raises:
            Refused: 400, the list of extensions is broken, even if none of them is wanted.
        """
        if self.extensions is None:
            return None
        offers = parse_offers(self.extensions)
        return negotiate(offers) if is_wanted else None


def wants_websocket(environ: Environ) -> bool:
    """Return whether a request asks for the WebSocket protocol (§4.2.1 item 3)."""
    return "HTTP_UPGRADE" in environ and has_token(environ["HTTP_UPGRADE"], "websocket")


def read(environ: Environ) -> Handshake:
    """Read a request that asks for the WebSocket protocol."""
    get = environ.get
    method = environ["REQUEST_METHOD"]
    host = get("HTTP_HOST", "")
    version = get("HTTP_SEC_WEBSOCKET_VERSION")

    return Handshake(
        method,
        get("PATH_INFO") or "/",
        host,
        get("HTTP_ORIGIN"),
        version,
        get("HTTP_SEC_WEBSOCKET_KEY", ""),
        get("HTTP_SEC_WEBSOCKET_PROTOCOL"),
        get("HTTP_SEC_WEBSOCKET_EXTENSIONS"),
        _early_refusal(environ, method, host, version),
    )


def check(environ: Environ) -> str:
    """Check all that RFC 6455 §4.2.1 requires of a client's handshake, except the origin.

    Returns:
        The value of `Sec-WebSocket-Accept`.
    Raises:
        Refused: 400, 405 or 426.
    """
    return read(environ).accept()


def _early_refusal(environ: Environ, method: str, host: str, version: str | None) -> Refused | None:
    if method != "GET":
        return Refused(405, "a WebSocket handshake is a GET request", (("Allow", "GET"),))

    if environ.get("SERVER_PROTOCOL") != "HTTP/1.1":
        return Refused(400, "a WebSocket handshake needs HTTP/1.1")
    if not has_token(environ.get("HTTP_CONNECTION", ""), "upgrade"):
        return Refused(400, "header Connection lacks the token Upgrade")

    if environ.get("CONTENT_LENGTH") not in (None, "", "0") or "HTTP_TRANSFER_ENCODING" in environ:
        # The bytes of a body would be read as frames.
        return Refused(400, "a WebSocket handshake has no body")

    if not host or "," in host:
        return Refused(400, "exactly one Host header is expected")
    if version != "13":
        # RFC 9110 §15.5.22: a 426 must name the required protocol in Upgrade.
        fields = (("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket"))
        return Refused(426, "only WebSocket version 13 is spoken here", fields)
    return None


def accept_for(key: str) -> str:
    """Compute `Sec-WebSocket-Accept` (§4.2.2 item 5.4).

    Args:
        key: `Sec-WebSocket-Key` as sent: base64 of 16 bytes. Two keys arrive joined by a comma and
            are refused.
    Raises:
        Refused: 400, the key is anything else.
    """
    if not _KEY.fullmatch(key):
        raise Refused(400, "Sec-WebSocket-Key is not the base64 of 16 bytes")
    digest = hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False).decode()


def check_page(
    environ: Environ, host: str, allowed: Collection[Allowed], trusted: tuple[str, ...]
) -> None:
    """Apply the origin policy to the page that sent a request; see `check_through_proxies`."""
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None:
        check_through_proxies(origin, environ, host, allowed, trusted)


def check_through_proxies(
    origin: str,
    environ: Environ,
    host: str,
    allowed: Collection[Allowed],
    trusted: tuple[str, ...],
) -> None:
    """Apply the origin policy to a request that may have passed proxies; see `check_origin`.

    Args:
        origin: the field Origin.
        environ: holds the fields that proxies have set.
        host: as `forwarded.host` returns it.
        allowed, trusted: `Config.allowed_origins` and `Config.trusted_proxies`.
    Raises:
        Refused: 403.
    """
    try:
        _check_once(environ, origin, host, allowed, trusted)
    except Refused as refusal:
        peer = environ.get("REMOTE_ADDR") or ""
        # Behind Werkzeug's ProxyFix REMOTE_ADDR is the client, not the peer.
        is_rewritten = "werkzeug.proxy_fix.orig" in environ
        if (
            is_rewritten
            or forwarded.is_trusted_peer(environ, trusted)
            or not forwarded.has_sign_of_proxy(environ)
        ):
            raise

        try:
            # Try again as if the peer were trusted, to see whether only that setting is missing.
            trusting = (peer,) if hosts.read_address(peer) else ("127.0.0.1",)
            _check_once(environ, origin, forwarded.host(environ, trusting), (), trusting)
        except Refused:
            raise refusal from None

        named = peer or "127.0.0.1"  # on a UNIX socket any address will do
        why = (
            "a proxy tells that they are the same, but is not believed: "
            f"trusted_proxies=[{named!r}]"
        )
        detail = f"{refusal.detail.partition('; ')[0]}; {why}"
        raise Refused(refusal.status, refusal.message, detail=detail) from None


def _check_once(
    environ: Environ,
    origin: str,
    host: str,
    allowed: Collection[Allowed],
    trusted: tuple[str, ...],
) -> None:
    scheme = forwarded.known_scheme(environ, trusted)
    named_host = (
        forwarded.named_host(environ, trusted) if "HTTP_X_FORWARDED_PORT" in environ else ""
    )
    check_origin(origin, host, allowed, scheme=scheme, named_host=named_host)


def check_origin(
    origin: str | None,
    host: str,
    allowed: Collection[Allowed],
    *,
    scheme: str = "",
    named_host: str = "",
) -> None:
    """Apply the origin policy (§10.2): a page connects to its own host, or `allowed` names it.

    Args:
        origin: the Origin header; None means that the client is no browser.
        host: the Host of this request.
        allowed: further origins, as `Config.allowed_origins` has them.
        scheme: the scheme of this request, "http" or "https"; "" where it is unknown, since
            requests of "https" pages arrive as "http" behind a proxy that ends TLS.
        named_host: the same host without the port that a proxy reports separately; either may be
            the page's own.
    Raises:
        Refused: 403; its detail, for the log, names both sides and the setting to change.
    """
    if origin is None:
        return

    asking, own = origins.parse(origin), hosts.parse(host)
    if asking is not None:
        if own is not None and origins.is_own(asking, own, scheme):
            return
        named = hosts.parse(named_host)
        if named is not None and origins.is_own(asking, named, scheme):
            return

    if origins.is_named(origin, allowed):
        return

    came = origins.shown(f"{scheme or 'http(s)'}://{host}")
    why = _why_not(asking, own, scheme) or _how_to_name(origin, asking)
    raise Refused(
        403,
        "this origin may not connect; see allowed_origins",
        detail=f"the page is of origin {origins.shown(origin)}, the request came for {came}; {why}",
    )


def _why_not(asking: Origin | None, own: hosts.Host | None, scheme: str) -> str:
    """Explain what a proxy may have lost, if both sides have the same host name; otherwise ""."""
    if asking is None or own is None or asking.host.name != own.name:
        return ""

    if own.port is None and not asking.has_own_port:
        return (
            "the Host has lost its port on the way: let the proxy pass it on (in nginx: "
            "proxy_set_header Host "
            "$http_host), or tell it as X-Forwarded-Port, with the proxy's address in "
            "trusted_proxies"
        )

    # The schemes must differ: with the same scheme the page would be of this host.
    if origins.is_own(asking, own, ""):
        return (
            f"by what this server and its proxies say the request came by {scheme}: let the "
            "outermost proxy's "
            "X-Forwarded-Proto through, or name the origin in allowed_origins"
        )
    return ""


def _how_to_name(origin: str, asking: Origin | None) -> str:
    if asking is None and origin not in origins.OPAQUE:
        return "that is no origin of a page"
    return f"to let its pages in: allowed_origins=[{origins.shown(origin)}]"


def choose_subprotocol(offered: str | None, spoken: Iterable[str]) -> str | None:
    """Return the client's first subprotocol that the route speaks (§4.2.2 item 5.5).

    Args:
        offered: the `Sec-WebSocket-Protocol` header, None if there was none.
        spoken: the route's subprotocols; compared exactly.
    Raises:
        Refused: 400, the header isn't a list of different tokens (§4.1 item 10).
    """
    if offered is None:
        return None
    names = split_tokens(offered)
    is_long = offered.count(",") >= MOST_ELEMENTS
    if is_long or not names or not all(map(is_token, names)) or len(set(names)) != len(names):
        raise Refused(400, "Sec-WebSocket-Protocol is no list of different tokens")
    known = frozenset(spoken)
    return next((name for name in names if name in known), None)
