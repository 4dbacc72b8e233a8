"""Who asks, and for which host, when proxies stand between: `X-Forwarded-*`, from trusted peers only.

Anybody can send these headers. So the peer of the socket must be trusted before any is read, and
`X-Forwarded-For` is read from the right, where our own proxies wrote, to the first address that isn't ours.
A peer on a UNIX socket has no address; who may open that socket is on this machine already, so it
counts as trusted as soon as any proxy is.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Environ = Mapping[str, Any]  # Any: what WSGI puts there

_FORWARDING_HEADERS = ("HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST",
                       "HTTP_X_FORWARDED_PROTO", "HTTP_X_REAL_IP")

_MOST_HOPS = 100  # what stands further left was written by the client
_LONGEST_ADDRESS = 64  # "[…]:65535" around 39 characters of IPv6, or 45 with IPv4 inside


def client_ip(environ: Environ, trusted: tuple[str, ...]) -> str:
    """Give the address of the client: the right-most of `X-Forwarded-For` that no trusted proxy has.

    Args:
        trusted: addresses and networks, as in `Config.trusted_proxies`.
    Returns:
        The peer's own address when the peer isn't trusted; "" for a UNIX socket without a proxy.
    """
    peer = _peer(environ)
    if not is_trusted_peer(environ, trusted):
        return peer
    found = peer
    for text in reversed(environ.get("HTTP_X_FORWARDED_FOR", "").rsplit(",", _MOST_HOPS)[-_MOST_HOPS:]):
        address = _address(text)
        if address is None:
            break  # What stands left of a word that is no address was written by who knows whom.
        found = str(address)
        if not _is_in(address, _networks(trusted)):
            break
    return found


def scheme(environ: Environ, trusted: tuple[str, ...]) -> str:
    """Give "http" or "https" as the client sees it."""
    own: str = environ.get("wsgi.url_scheme", "http")
    if not is_trusted_peer(environ, trusted):
        return own
    forwarded = _last(environ.get("HTTP_X_FORWARDED_PROTO", "")).lower()
    return forwarded if forwarded in ("http", "https") else own


def host(environ: Environ, trusted: tuple[str, ...]) -> str:
    """Give the host, with its port where one is given, as the client wrote it."""
    if is_trusted_peer(environ, trusted):
        forwarded = _last(environ.get("HTTP_X_FORWARDED_HOST", ""))
        if forwarded:
            return forwarded
    named: str = environ.get("HTTP_HOST") or environ.get("SERVER_NAME", "")
    return named


def is_trusted_peer(environ: Environ, trusted: tuple[str, ...]) -> bool:
    """Whether the other end of the socket is one of our proxies."""
    if not trusted:
        return False
    peer = _peer(environ)
    if not peer:
        return True
    address = _address(peer)
    return address is not None and _is_in(address, _networks(trusted))


def is_local(environ: Environ) -> bool:
    """Whether this request was surely made on this machine, by its own user's browser.

    The peer is loopback, no proxy has touched it (behind nginx on the same machine every peer is loopback),
    and it asked for a loopback name: a page of another site whose name now points to 127.0.0.1 doesn't.
    """
    address = _address(_peer(environ))
    if address is None or not address.is_loopback:
        return False
    if any(environ.get(name) for name in _FORWARDING_HEADERS):
        return False
    return _is_loopback_name(environ.get("HTTP_HOST") or "localhost")


def _peer(environ: Environ) -> str:
    peer = environ.get("REMOTE_ADDR")
    return peer if isinstance(peer, str) else ""


def _is_loopback_name(host_and_port: str) -> bool:
    if host_and_port.startswith("["):
        name = host_and_port[1:].partition("]")[0]
    else:
        name = host_and_port.partition(":")[0]
    name = name.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _address(name)
    return address is not None and address.is_loopback


def _last(header: str) -> str:
    return header.rpartition(",")[2].strip()


@lru_cache(maxsize=64)
def _networks(trusted: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in trusted)


def _address(text: str) -> Address | None:
    """Read an address, without the port and the brackets that some proxies add."""
    text = text.strip()
    # Clients write what is read here, so what is too long to be an address must not get into the cache.
    return _read_address(text) if len(text) <= _LONGEST_ADDRESS else None


@lru_cache(maxsize=1024)
def _read_address(text: str) -> Address | None:
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address  # A dual-stack socket shows 10.0.0.1 as ::ffff:10.0.0.1.


def _is_in(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)
