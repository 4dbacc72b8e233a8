"""Hosts: how they are written, which are this machine's own, and lists of them.

Pure, and strict: a text that two programs could read as different hosts is read as none. The
patterns must stay free of adjoining repeats over the same characters, for clients write what they
are matched with.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

ANY = "*"

_LONGEST = 262  # a name of 253 characters, brackets, a colon and a port of five digits
_LONGEST_ADDRESS = 64  # "[…]:65535" around 39 characters of IPv6, or 45 with IPv4 inside
_HOST = re.compile(r"(?P<name>[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_MOST_PORT = 65_535


class Host(NamedTuple):
    """A host as it stands in a URL or in a Host field.

    Attributes:
        name: in lower case; an IPv6 address in its brackets and in its shortest form.
        port: None where none is given.
    """

    name: str
    port: int | None

    def __str__(self) -> str:
        return self.name if self.port is None else f"{self.name}:{self.port}"


class HostPattern(NamedTuple):
    """Which hosts a list lets in.

    Attributes:
        host: the name to the letter; of a wildcard, what follows its star, as ".shop.example".
        is_wildcard: whether any subdomain is meant, at any depth, and not the bare domain.
    """

    host: Host
    is_wildcard: bool

    def matches_name(self, name: str) -> bool:
        """Return whether a host of this name is meant, whatever its port."""
        if not self.is_wildcard:
            return name == self.host.name
        return name.endswith(self.host.name) and len(name) > len(self.host.name)


def parse(text: str) -> Host | None:
    """Read a host, with or without a port; None for anything that is none."""
    found = _HOST.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        return None

    port = None if found["port"] is None else int(found["port"])
    if port is not None and port > _MOST_PORT:
        return None

    name = found["name"].lower()
    if name[0] == "[":
        address = read_address(name)
        if not isinstance(address, ipaddress.IPv6Address):
            return None
        name = f"[{address.compressed}]"
    return Host(name, port)


def is_loopback(host: Host) -> bool:
    """Return whether a host is this machine's own, such as "localhost" (RFC 6761)."""
    name = host.name.rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    return is_loopback_address(name)


def is_loopback_address(text: str) -> bool:
    """Return whether a text is a loopback address, with or without brackets and port."""
    address = read_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address is not None and address.is_loopback


def read_address(text: str) -> Address | None:
    """Read an IP address, without the brackets and the port that may stand around it."""
    text = text.strip()
    # Clients write what is read here, so what is too long to be an address must not get into the
    # cache.
    return _read_address(text) if len(text) <= _LONGEST_ADDRESS else None


@lru_cache(maxsize=1024)
def _read_address(text: str) -> Address | None:
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def read_pattern(text: str) -> HostPattern:
    """Read an entry of a setting: a host, or a pattern for its subdomains.

    Raises:
        ValueError: no request can match it; the message says why, and what to write.
    """
    if not text.isascii():
        raise ValueError(f"has letters that no browser sends, write {in_ascii(text)!r}")

    is_wildcard = text.startswith("*.")
    host = parse(text[2:] if is_wildcard else text)
    if host is None or host.port == 0:
        raise ValueError(_what_is_wrong(text))

    name = host.name
    if name[0] == "[":
        if is_wildcard:
            raise ValueError("has a star before an address, expected one before a name")
        return HostPattern(host, False)

    labels = name.removesuffix(".").split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(_what_is_wrong(text))
    if _NUMBER.fullmatch(labels[-1]) and (
        is_wildcard or not isinstance(read_address(name), ipaddress.IPv4Address)
    ):
        raise ValueError("ends in a number, expected a name, or an address as 127.0.0.1")
    return HostPattern(host._replace(name=f".{name}") if is_wildcard else host, is_wildcard)


def in_ascii(text: str) -> str:
    """Return a host as browsers send it, with punycode for other letters (RFC 3492)."""
    labels = text.lower().split(".")
    return ".".join(
        label if label.isascii() else "xn--" + label.encode("punycode").decode() for label in labels
    )


def check_list(name: str, texts: Iterable[str]) -> None:
    """Check that each entry of a list of hosts can match a request.

    Args:
        name: of the setting.
    Raises:
        ConfigError: one can't.
    """
    for text in texts:
        if text == ANY:
            continue
        try:
            read_pattern(text)
        except ValueError as exc:
            raise ConfigError(f"{name}: {text!r} {exc}") from exc


def is_listed(host: Host, texts: tuple[str, ...]) -> bool:
    """Return whether a list of hosts has this one; an entry without a port means any port.

    Args:
        texts: as `check_list` took them.
    """
    if ANY in texts:
        return True
    name = host.name.rstrip(".") or host.name
    return any(
        one.matches_name(name) and (one.host.port is None or one.host.port == host.port)
        for one in _patterns(texts)
    )


@lru_cache(maxsize=64)
def _patterns(texts: tuple[str, ...]) -> tuple[HostPattern, ...]:
    return tuple(read_pattern(text) for text in texts)


def _what_is_wrong(text: str) -> str:
    expected = 'expected a host as "shop.example", "shop.example:8443" or "*.shop.example"'

    if "://" in text:
        return f"has a scheme, {expected}"
    if "*" in text:
        return f"has a star that is no label of its own in front, {expected}"
    if text.startswith("."):
        return (
            f'begins with a dot, expected "*{text}" for its subdomains, and "{text[1:]}" for itself'
        )
    if "@" in text:
        return f"has a user in it, {expected}"
    if "/" in text or "?" in text or "#" in text:
        return f"has a path, {expected}"

    port = text.rpartition(":")[2]
    if ":" in text and "[" not in text and not (port.isdecimal() and 0 < int(port) <= _MOST_PORT):
        return f"has a port that is none, {expected}"
    return f"is no host, {expected}"
