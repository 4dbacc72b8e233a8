"""Origins of pages as browsers send them (RFC 6454), and lists of those that may connect.

Pure. An entry of the list is an exact origin, a pattern for the subdomains of one domain, "null" or
"file://", "*" for every page, or a function that decides. What no page can match is refused when it
is set.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Collection, Iterable
from functools import lru_cache
from typing import NamedTuple

from ..errors import ConfigError
from . import hosts
from .hosts import Host, HostPattern

logger = logging.getLogger("tina4_wsgi.origins")

Allowed = str | Callable[[str], object]
"""An entry of `allowed_origins`."""

ANY = "*"
OPAQUE = frozenset({"null", "file://"})
"""What pages without a host of their own send: sandboxed frames and files, and apps that are made
of files.
"""

_WEB = {"http": 80, "https": 443}
_ORIGIN = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<host>[^\s/?#@,\\*]+)")
_EXPECTED = (
    'expected an origin as "https://shop.example", "http://localhost:8080" or '
    '"https://*.shop.example"'
)
_MOST_SHOWN = 200
_LONGEST = 512  # an origin is a scheme, a name of at most 253 characters, and a port


class Origin(NamedTuple):
    """Where a page came from.

    Attributes:
        scheme: in lower case.
        host: with the scheme's own port where none is given; None as its port where the scheme has
            none.
    """

    scheme: str
    host: Host

    @property
    def has_own_port(self) -> bool:
        """Whether a browser leaves the port out, because it is the scheme's own."""
        return self.host.port == _WEB.get(self.scheme)


def parse(text: str) -> Origin | None:
    """Read the field Origin; None for "null", for two origins, or for anything else."""
    found = _ORIGIN.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        return None
    scheme = found["scheme"].lower()
    if scheme in _WEB:
        host = hosts.parse(found["host"])
        return None if host is None else Origin(scheme, _with_port(host, scheme))
    # Apps name themselves as they like: "chrome-extension://abc", "app://."
    return Origin(scheme, Host(found["host"].lower(), None)) if found["host"].isascii() else None


def is_own(asking: Origin, host: Host, scheme: str) -> bool:
    """Return whether a page came from the host that it wants to connect to.

    Args:
        host: under which the request came.
        scheme: "http" or "https", by which the request came; "" where that is unknown, since a
            proxy may have ended TLS.
    """
    if asking.scheme not in _WEB or (scheme and asking.scheme != scheme):
        return False
    return asking.host == _with_port(host, asking.scheme)


def is_named(text: str, allowed: Collection[Allowed]) -> bool:
    """Return whether `allowed_origins` lets a page of this origin connect.

    Functions are asked for what is an origin alone, so `origin.endswith(".shop.example")` is no
    trap. What one of them raises is logged, and the page is refused.

    Args:
        text: the Origin header.
        allowed: as `check_list` took it.
    """
    if ANY in allowed:
        return True
    asking = parse(text)
    if asking is None and text not in OPAQUE:
        return False
    return any(
        _is_entry_for(one, text, asking) if isinstance(one, str) else _decides_for(one, text)
        for one in allowed
    )


def check_list(name: str, allowed: Iterable[Allowed]) -> None:
    """Check that each entry can match a page.

    Args:
        name: of the setting.
    Raises:
        ConfigError: one can't; the message says why, and what to write.
    """
    for one in allowed:
        if isinstance(one, str):
            if (wrong := fault(one)) is not None:
                raise ConfigError(f"{name}: {one!r} {wrong}")
        else:
            _check_function(name, one)


def fault(text: str) -> str | None:
    """Return why no page can have this origin, and what to write; None if one can."""
    if text == ANY or text in OPAQUE:
        return None
    try:
        _entry(text)
    except ValueError as exc:
        return str(exc)
    return None


def _is_entry_for(one: str, text: str, asking: Origin | None) -> bool:
    if asking is None or one in OPAQUE:
        return text == one
    return _entry(one).matches(asking)


class _Entry(NamedTuple):
    """A text of the list, taken apart."""

    scheme: str
    pattern: HostPattern

    def matches(self, asking: Origin) -> bool:
        return (
            asking.scheme == self.scheme
            and asking.host.port == self.pattern.host.port
            and self.pattern.matches_name(asking.host.name)
        )


@lru_cache(maxsize=1024)
def _entry(text: str) -> _Entry:
    """Read one entry.

    Raises:
        ValueError: no page can match it.
    """
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    _check_shape(text, scheme, separator, rest)

    if scheme not in _WEB:
        origin = parse(text)
        if origin is None:
            raise ValueError(f"is no origin, {_EXPECTED}")
        return _Entry(scheme, HostPattern(origin.host, False))

    try:
        pattern = hosts.read_pattern(rest)
    except ValueError as exc:
        raise ValueError(_in_an_origin(scheme, rest, str(exc))) from exc
    return _Entry(scheme, pattern._replace(host=_with_port(pattern.host, scheme)))


def _check_shape(text: str, scheme: str, separator: str, rest: str) -> None:
    if text.lower() in ("null", "file:", "file:/", "file:///"):
        opaque = "null" if "n" in text.lower() else "file://"
        raise ValueError(f'is no origin that a browser sends, write "{opaque}"')

    if not text or any(character.isspace() for character in text):
        raise ValueError(f"has space in it, {_EXPECTED}" if text else f"is empty, {_EXPECTED}")
    if "," in text:
        raise ValueError("has a comma in it, expected a list with one origin in each entry")

    if not separator:
        host = re.sub(r"^(https?:)?/*", "", text)
        if fault(f"https://{host}") is not None:
            raise ValueError(f"is no origin, {_EXPECTED}")
        raise ValueError(f'has no scheme, write "https://{host}" or "http://{host}"')

    if scheme in ("ws", "wss"):
        page = f"{scheme.replace('ws', 'http')}://{rest}"
        raise ValueError(f'is where a WebSocket goes, and a page comes by http: write "{page}"')
    if scheme == "file":
        raise ValueError('names a file, but pages from files all send the same: write "file://"')
    _check_behind_scheme(scheme, rest)


def _check_behind_scheme(scheme: str, rest: str) -> None:
    if rest == ANY:
        raise ValueError(
            f'would be every page that comes by {scheme}, expected "*" for all, or {_EXPECTED[9:]}'
        )

    if "@" in rest:
        raise ValueError(f'has a user in it, write "{scheme}://{rest.rpartition("@")[2]}"')

    host = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    if not host:
        raise ValueError(f"has no host, {_EXPECTED}")
    if host != rest:
        what = "ends with a slash" if rest == f"{host}/" else "has a path"
        raise ValueError(f'{what}, which no origin has: write "{scheme}://{host}"')


def _in_an_origin(scheme: str, rest: str, wrong: str) -> str:
    """Return what is wrong with a host as part of an origin."""
    if not rest.isascii():
        return f'has letters that no browser sends, write "{scheme}://{hosts.in_ascii(rest)}"'
    if rest.startswith("."):
        return f'begins with a dot, write "{scheme}://*{rest}" for its subdomains'
    reason = wrong.partition(", expected")[0]
    return f"{reason}, {_EXPECTED}"


def _with_port(host: Host, scheme: str) -> Host:
    return Host(host.name, _WEB[scheme]) if host.port is None else host


def _check_function(name: str, one: object) -> None:
    if not callable(one):
        raise ConfigError(
            f"{name}: {one!r:.80} is a {type(one).__name__}, {_EXPECTED}, or a function of the "
            "origin"
        )

    if isinstance(one, type):
        raise ConfigError(
            f"{name}: {one!r:.80} is a class, {_EXPECTED}, or a function of the origin"
        )

    # An object may be callable by its class.
    call = one if inspect.isroutine(one) else one.__call__
    if any(map(inspect.iscoroutinefunction, (one, call))) or any(
        map(inspect.isasyncgenfunction, (one, call))
    ):
        raise ConfigError(
            f"{name}: {one!r:.80} is an `async def` and nothing would await it, write `def`"
        )

    try:
        inspect.signature(one).bind("https://shop.example")
    except ValueError:
        pass  # written in C, without a signature: the first call will tell
    except TypeError as exc:
        raise ConfigError(
            f"{name}: {one!r:.80} takes other arguments, expected a function of the origin"
        ) from exc


def _decides_for(function: Callable[[str], object], text: str) -> bool:
    try:
        answer = function(text)
        if answer is None or answer is False:
            return False
        if _is_mistake(answer):
            logger.error("allowed_origins: %r gave %.80r, expected True or False", function, answer)
            return False
        return bool(answer)
    except (Exception, SystemExit):
        logger.exception("allowed_origins: %r raised for %.200r", function, text)
        return False


def _is_mistake(answer: object) -> bool:
    """Return whether an answer is true by mistake, such as a function or a coroutine."""
    if inspect.iscoroutine(answer):
        answer.close()  # or Python warns that it was never awaited
        return True

    return (
        callable(answer)
        or inspect.isawaitable(answer)
        or inspect.isgenerator(answer)
        or isinstance(answer, BaseException)
        or answer is NotImplemented
        or answer is Ellipsis
    )


def shown(text: str) -> str:
    """Write what a client sent as its origin for the log: on one line, and not too much of it."""
    return repr(text[:_MOST_SHOWN])
