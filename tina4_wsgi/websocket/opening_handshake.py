"""The request of the opening handshake, stored compactly while the connection lasts.

A WSGI environ takes 3 to 5 KiB. A connection keeps only the header fields and a few other values,
and rebuilds an environ from them on request. The values are joined in one string, their lengths
stand beside it, and the names, which browsers of one kind send alike, are shared between
handshakes. There is no separator that a value could contain.

Invariant: `environ` returns a subset of the environ that the server, or a middleware around the
app, passed in.
"""

from __future__ import annotations

import io
import re
import sys
from array import array
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl

from werkzeug.datastructures import EnvironHeaders, ImmutableMultiDict
from werkzeug.http import parse_cookie

from ..addresses import forwarded
from ..errors import Refused
from ..http.headers import cookie_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from _typeshed.wsgi import WSGIEnvironment

    from ..addresses.forwarded import Environ

_KEPT = frozenset(
    {
        "AUTH_TYPE",
        "PATH_INFO",
        "QUERY_STRING",
        "REMOTE_ADDR",
        "REMOTE_PORT",
        "REMOTE_USER",
        "SCRIPT_NAME",
        "SERVER_NAME",
        "SERVER_PORT",
        "wsgi.url_scheme",
    }
)
"""Kept besides `HTTP_*`. No header can set REMOTE_USER and AUTH_TYPE: only the server can, or a
middleware around the app.
"""

_DROPPED = frozenset(
    {
        "HTTP_CONNECTION",
        "HTTP_UPGRADE",
        "HTTP_SEC_WEBSOCKET_KEY",
        "HTTP_SEC_WEBSOCKET_VERSION",
    }
)

# A tab may stand in a field value (RFC 9110 §5.5).
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_CONTROL_IN_NAME = re.compile(r"[\x00-\x20\x7f]")

_SHARED_HEADS = 256
_LONGEST_SHARED = 2_048
"""Most characters in the names of a shared head: clients choose them, and they stay in memory."""


class _Kind(NamedTuple):
    """What is kept of each environ that has the same names in the same order.

    Attributes:
        names: the names that are kept.
        values_of: returns their values in an environ.
        names_bytes: the length of all names together, those that are dropped included.
    """

    names: tuple[str, ...]
    values_of: Callable[[Environ], tuple[Any, ...]]
    names_bytes: int


class OpeningHandshake:
    """The request of a connection's opening handshake.

    Args:
        environ: the WSGI environ; not kept itself.
        trusted_proxies: see `Config.trusted_proxies`.
        keep_environ: see `Config.keep_environ`; these values are kept by reference.
        max_head_bytes: see `Config.max_head_bytes`; a bound for servers that have no limit of their
            own.
    Raises:
        Refused: 400, a value that would be kept holds a control character; 431, the head is too
            long.
    """

    __slots__ = ("_lengths", "_names", "_others", "_text", "_trusted_proxies")

    def __init__(
        self,
        environ: Environ,
        trusted_proxies: tuple[str, ...],
        keep_environ: tuple[str, ...] = (),
        max_head_bytes: int = sys.maxsize,
    ) -> None:
        self._trusted_proxies = trusted_proxies
        names, values_of, names_bytes = _kind_of(tuple(environ))
        values = values_of(environ)

        by_reference = keep_environ
        try:
            self._text = "".join(values)
        except TypeError:  # a middleware's own value, or a port that the server gives as an int
            by_reference = (
                *keep_environ,
                *(name for name in names if not isinstance(environ[name], str)),
            )
            kind = _kind_of(tuple(name for name in names if isinstance(environ[name], str)))
            names = kind.names
            self._text = "".join(values := kind.values_of(environ))

        # Of the dropped fields, only these two vary in length.
        dropped_bytes = len(environ.get("HTTP_CONNECTION", "")) + len(
            environ.get("HTTP_UPGRADE", "")
        )
        if names_bytes + len(self._text) + dropped_bytes > max_head_bytes:
            raise Refused(431, "the head of this handshake is too long")
        if not self._text.isprintable() and _CONTROL.search(self._text) is not None:
            raise Refused(400, "this request holds a control character")

        try:
            # Nearly always one byte for each is enough.
            self._lengths = bytes(map(len, values))
        except ValueError:
            self._lengths = array("I", map(len, values)).tobytes()
        self._names = names
        self._others = {name: environ[name] for name in by_reference if name in environ} or None

    def environ(self) -> WSGIEnvironment:
        """Rebuild the kept part of the environ: header fields, path, query, peer, user."""
        text, begin = self._text, 0
        found: WSGIEnvironment = {}
        is_short = len(self._lengths) == len(self._names)
        lengths = self._lengths if is_short else array("I", self._lengths)
        for name, length in zip(self._names, lengths, strict=True):
            found[name] = text[begin : begin + length]
            begin += length
        if self._others is not None:
            found.update(self._others)
        return found

    def wsgi_environ(self) -> WSGIEnvironment:
        """Return an environ that any WSGI framework accepts: a GET without a body."""
        return {
            "SCRIPT_NAME": "",
            "PATH_INFO": "/",
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "wsgi.url_scheme": "http",
            **self.environ(),
            "REQUEST_METHOD": "GET",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.version": (1, 0),
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }

    @property
    def headers(self) -> EnvironHeaders:
        """The header fields; names in any letter case."""
        return EnvironHeaders(self.environ())

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies by name."""
        return parse_cookie(cookie_text(self.environ()))

    @property
    def query(self) -> ImmutableMultiDict[str, str]:
        """The fields of the query; `query["name"]` is the first field of that name."""
        text = self.environ().get("QUERY_STRING", "")
        return ImmutableMultiDict(parse_qsl(text, keep_blank_values=True, max_num_fields=1_000))

    @property
    def ip(self) -> str:
        """The client's address, through trusted proxies; "" for a UNIX socket."""
        return forwarded.client_ip(self.environ(), self._trusted_proxies)


def _kind(all_names: tuple[str, ...]) -> _Kind:
    """Return what is kept of an environ with these names.

    Raises:
        Refused: 400, a name that would be kept holds a control character or a space.
    """
    names = tuple(
        name
        for name in all_names
        if (name[:5] == "HTTP_" and name not in _DROPPED) or name in _KEPT
    )
    if _CONTROL_IN_NAME.search("".join(names)) is not None:
        raise Refused(400, "the name of a header field holds a control character")
    return _Kind(names, _getter(names), sum(map(len, all_names)))


def _getter(names: tuple[str, ...]) -> Callable[[Environ], tuple[Any, ...]]:
    if len(names) > 1:
        return itemgetter(*names)
    # For a single name `itemgetter` returns the value without a tuple.
    return lambda environ: tuple(environ[name] for name in names)


_shared_kinds: dict[tuple[str, ...], _Kind] = {}


def _kind_of(all_names: tuple[str, ...]) -> _Kind:
    """Like `_kind`, but environs with the same names share one `_Kind`, if it isn't long."""
    kind = _shared_kinds.get(all_names)
    if kind is None:
        kind = _kind(all_names)
        if kind.names_bytes <= _LONGEST_SHARED:
            if len(_shared_kinds) >= _SHARED_HEADS:
                # A copy is one C call, so another thread may change the original meanwhile.
                oldest = next(iter(tuple(_shared_kinds)))
                _shared_kinds.pop(oldest, None)
            _shared_kinds[all_names] = kind
    return kind
