"""Client, scheme and host of a request that came through proxies.

Anybody can send these headers. So the peer of the socket must be trusted before any is read, and
addresses are read from the right, where our own proxies wrote, to the first one that isn't ours. A
peer on a UNIX socket has no address. It runs on this machine, or it couldn't open the socket, so it
counts as trusted as soon as any proxy is.

`Forwarded` (RFC 7239) is read only where none of `X-Forwarded-For`, `-Host`, `-Port`, `-Prefix` and
`-Proto` is there: a proxy that writes those hands on a `Forwarded` that its client has made up.

A value that is to become part of an address must be one: anything else in it, and it counts as not
sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from . import hosts

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from .hosts import Address

Network = IPv4Network | IPv6Network
Environ = Mapping[str, Any]  # Any: what WSGI puts there

_SIGNS = (
    "HTTP_FORWARDED",
    "HTTP_VIA",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PREFIX",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_SERVER",
    "HTTP_X_REAL_IP",
)
"""What proxies write, and clients don't."""

_MOST_HOPS = 100  # what stands further left was written by the client
_INSTEAD_OF_FORWARDED = (
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PREFIX",
    "HTTP_X_FORWARDED_PROTO",
)

_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
"""Which scheme of pages goes with which: Traefik says "wss" of an upgrade, and means what it calls
"https" else.
"""

_SCHEME_HEADERS = (
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_PROTOCOL",
    "HTTP_X_FORWARDED_SCHEME",
    "HTTP_X_SCHEME",
    "HTTP_X_URL_SCHEME",
    "HTTP_CLOUDFRONT_FORWARDED_PROTO",
)
_SCHEME = re.compile(r"(?<![^\s,])(?:http|ws)(s?)(?![^\s,])", re.IGNORECASE)
_PROTO = re.compile(
    r"""(?<![A-Za-z0-9-])(proto="?)(?:http|ws)(s?)(?![A-Za-z0-9+.:-])""", re.IGNORECASE
)

# One pair of RFC 7239 §4. Values with a colon or brackets should be quoted, and often are not.
_ONE_PAIR = r"""([A-Za-z0-9-]{1,20})=(?:"((?:[^"\\]|\\.)*)"|([^\s",;=\\]+))"""
_PAIR = re.compile(_ONE_PAIR)
_ELEMENT = re.compile(rf"[ \t]*{_ONE_PAIR}(?:[ \t]*;[ \t]*{_ONE_PAIR})*[ \t]*;?[ \t]*")
_QUOTED_PAIR = re.compile(r"\\(.)")
_MOST_ELEMENTS = 32  # proxies in a row; what stands left of them is not looked at
_LONGEST_ELEMENT = 512  # two addresses, a scheme, and a host of 253 characters
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+;=:@%-]+)+")
_MOST_PREFIX = 1_024
_DEFAULT_PORTS = {"http": 80, "https": 443}

Element = dict[str, str]
"""One proxy's part of `Forwarded`, names in lower case."""


def client_ip(environ: Environ, trusted: tuple[str, ...]) -> str:
    """Return the address of the client: the right-most one that no trusted proxy has.

    Args:
        trusted: addresses and networks, as in `Config.trusted_proxies`.
    Returns:
        The peer's own address when the peer isn't trusted; "" for a UNIX socket without a proxy.
    """
    peer = _peer(environ)
    if not is_trusted_peer(environ, trusted):
        return peer

    elements = _elements(environ, trusted)
    if elements is not None:
        texts = [element.get("for", "") for element in elements]
    else:
        texts = environ.get("HTTP_X_FORWARDED_FOR", "").rsplit(",", _MOST_HOPS)[-_MOST_HOPS:][::-1]

    found = peer
    for text in texts:
        address = _address(text)
        # Nobody knows who wrote what stands to the left of a word that is no address.
        if address is None:
            break
        found = str(address)
        if not _is_in(address, _networks(trusted)):
            break
    return found


def scheme(environ: Environ, trusted: tuple[str, ...]) -> str:
    """Return "http" or "https" as the client sees it."""
    own = _SCHEMES.get(str(environ.get("wsgi.url_scheme", "http")).lower(), "http")
    return _told_scheme(environ, trusted) or own


def known_scheme(environ: Environ, trusted: tuple[str, ...]) -> str:
    """Return "http" or "https" where the client's scheme is certain, "" where it is not.

    It is where a trusted proxy tells it, and where this server speaks TLS. Plain HTTP alone says
    nothing: a proxy that nobody trusts may have ended TLS before.
    """
    told = _told_scheme(environ, trusted)
    if told:
        return told
    own = _SCHEMES.get(str(environ.get("wsgi.url_scheme", "")).lower())
    return "https" if own == "https" else ""


def host(environ: Environ, trusted: tuple[str, ...]) -> str:
    """Return the host, with its port where one is given, as the client wrote it.

    A trusted proxy tells it as `X-Forwarded-Host` or in `Forwarded`; and in `X-Forwarded-Port` the
    port, where it passes on a host without one.
    """
    return _with_told_port(named_host(environ, trusted), environ, trusted)


def named_host(environ: Environ, trusted: tuple[str, ...]) -> str:
    """Return the host as `host` does, without a port that only `X-Forwarded-Port` has."""
    named: str = environ.get("HTTP_HOST") or environ.get("SERVER_NAME", "")
    if not is_trusted_peer(environ, trusted):
        return named
    elements = _elements(environ, trusted)
    if elements is not None:
        return next(
            (one["host"] for one in reversed(elements) if hosts.parse(one.get("host", ""))), named
        )
    told = _last(environ.get("HTTP_X_FORWARDED_HOST", ""))
    return named if hosts.parse(told) is None else told


def root(environ: Environ, trusted: tuple[str, ...]) -> str:
    """Return the path below which the client finds this application, "" for the whole host.

    It has no slash at its end. That is `SCRIPT_NAME`, and before it what a trusted proxy has
    taken off and tells as `X-Forwarded-Prefix`.
    """
    own: str = environ.get("SCRIPT_NAME", "").rstrip("/")
    if not is_trusted_peer(environ, trusted):
        return own

    prefix = _last(environ.get("HTTP_X_FORWARDED_PREFIX", "")).rstrip("/")
    if (
        len(prefix) > _MOST_PREFIX
        or not _PREFIX.fullmatch(prefix)
        or {".", ".."} & set(prefix.split("/"))
    ):
        return own

    # Some proxies tell a prefix that they have left in the path.
    return own if f"{own}/".startswith(f"{prefix}/") else prefix + own


def check_list(name: str, texts: Iterable[str]) -> None:
    """Check that each entry of a list of proxies is an address or a network.

    Args:
        name: of the setting.
    Raises:
        ConfigError: one isn't.
    """
    for text in texts:
        try:
            ip_network(text, strict=False)
        except ValueError as exc:
            raise ConfigError(
                f"{name}: {text!r} is no address or network, expected as 10.0.0.0/8"
            ) from exc


def is_trusted_peer(environ: Environ, trusted: tuple[str, ...]) -> bool:
    """Return whether the other end of the socket is one of our proxies."""
    return bool(trusted) and _is_trusted(_peer(environ), trusted)


def has_sign_of_proxy(environ: Environ) -> bool:
    """Return whether a header shows that a proxy has passed this request on.

    A proxy may also have done so without leaving one.
    """
    return any(environ.get(name) for name in _SIGNS)


def with_page_schemes(environ: WSGIEnvironment, *more: str) -> WSGIEnvironment:
    """Return an environ in which "wss" is "https", and "ws" is "http", for a framework.

    Frameworks know only those, wherever a scheme comes from. Whom to believe remains theirs to say.

    Args:
        environ: is not changed; given back where there is nothing to do.
        more: further variables that hold a scheme.
    """
    changed: dict[str, str] = {}
    for name in (*_SCHEME_HEADERS, *more):
        if (value := environ.get(name)) not in (None, "http", "https"):
            changed[name] = _SCHEME.sub(lambda found: f"http{found[1].lower()}", value)

    if (value := environ.get("HTTP_FORWARDED")) is not None:
        changed["HTTP_FORWARDED"] = _PROTO.sub(
            lambda found: f"{found[1]}http{found[2].lower()}", value
        )

    own = str(environ.get("wsgi.url_scheme", "http"))
    if own.lower() in ("ws", "wss"):
        changed["wsgi.url_scheme"] = _SCHEMES[own.lower()]
    return {**environ, **changed} if changed else environ


@lru_cache(maxsize=1024)
def _is_trusted(peer: str, trusted: tuple[str, ...]) -> bool:
    # Asked several times for each request, and comparing with a network costs microseconds.
    if not peer:
        return True
    address = _address(peer)
    return address is not None and _is_in(address, _networks(trusted))


def _told_scheme(environ: Environ, trusted: tuple[str, ...]) -> str:
    if not is_trusted_peer(environ, trusted):
        return ""
    elements = _elements(environ, trusted)
    if elements is not None:
        told = [_SCHEMES.get(one.get("proto", "").lower(), "") for one in reversed(elements)]
        return next((one for one in told if one), "")
    return _SCHEMES.get(_last(environ.get("HTTP_X_FORWARDED_PROTO", "")).lower(), "")


def _with_told_port(named: str, environ: Environ, trusted: tuple[str, ...]) -> str:
    told = environ.get("HTTP_X_FORWARDED_PORT")
    if not told or not is_trusted_peer(environ, trusted):
        return named
    asked, with_port = hosts.parse(named), hosts.parse(f"{named}:{_last(told)}")
    if asked is None or asked.port is not None or with_port is None or not with_port.port:
        return named
    return named if with_port.port == _DEFAULT_PORTS[scheme(environ, trusted)] else str(with_port)


def _elements(environ: Environ, trusted: tuple[str, ...]) -> list[Element] | None:
    """Return what trusted proxies wrote into `Forwarded`, nearest first; None if unused."""
    header = environ.get("HTTP_FORWARDED")
    if not header or any(environ.get(name) for name in _INSTEAD_OF_FORWARDED):
        return None

    found: list[Element] = []
    for element in _from_the_right(header):
        found.append(element)
        address = _address(element.get("for", ""))
        if (
            len(found) == _MOST_ELEMENTS
            or address is None
            or not _is_in(address, _networks(trusted))
        ):
            break
    return found


def _from_the_right(header: str) -> Iterator[Element]:
    """Yield the elements of `Forwarded` from its end, up to the first that is broken.

    A comma inside quotes begins no part: behind it stands an odd number of quotes, and that is no
    element.
    """
    end = len(header)
    while end > 0:
        comma = end
        element = None
        while element is None and comma > 0 and end - comma < _LONGEST_ELEMENT:
            comma = header.rfind(",", 0, comma)
            element = _read_element(header[comma + 1 : end])
        if element is None:
            return
        if element:
            yield element
        end = comma


def _read_element(text: str) -> Element | None:
    """Read one element (RFC 7239 §4); {} if it is empty, None if it is broken.

    One that says a thing twice is broken.
    """
    if not text.strip(" \t"):
        return {}
    if not _ELEMENT.fullmatch(text):
        return None
    element: Element = {}
    for name, quoted, plain in _PAIR.findall(text):
        if name.lower() in element:
            return None
        element[name.lower()] = plain or _QUOTED_PAIR.sub(r"\1", quoted)
    return element


def _peer(environ: Environ) -> str:
    peer = environ.get("REMOTE_ADDR")
    return peer if isinstance(peer, str) else ""


def _last(header: str) -> str:
    return header.rpartition(",")[2].strip()


@lru_cache(maxsize=64)
def _networks(trusted: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ip_network(text, strict=False) for text in trusted)


def _address(text: str) -> Address | None:
    """Read an address, without the port and the brackets that some proxies add."""
    address = hosts.read_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address  # A dual-stack socket shows 10.0.0.1 as ::ffff:10.0.0.1.


def _is_in(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)
