"""What a client said when it connected, kept small for as long as it stays.

A WSGI environ takes 3 to 5 KiB; of it a connection keeps the header fields and a few words as one text, and takes
that apart again when somebody asks.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from werkzeug.datastructures import EnvironHeaders, ImmutableMultiDict
from werkzeug.http import parse_cookie

from . import forwarded

_KEPT = frozenset({
    "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR", "REMOTE_PORT", "SCRIPT_NAME", "SERVER_NAME", "SERVER_PORT",
    "wsgi.url_scheme",
})  # fmt: skip
_DROPPED = frozenset({
    "HTTP_CONNECTION", "HTTP_UPGRADE", "HTTP_SEC_WEBSOCKET_KEY", "HTTP_SEC_WEBSOCKET_VERSION",
})  # fmt: skip
_SEPARATOR = "\x00"  # no server lets it into a header, and a text that had it would only lose its own entry


def head_bytes(environ: Mapping[str, Any]) -> int:
    """Say how large a handshake is, near enough: a bound on its head, under servers that have none of their own.

    Everything in the environ that is text counts, which is quicker than to tell header fields apart.
    """
    texts = [value for value in environ.values() if value.__class__ is str]
    return sum(map(len, environ)) + sum(map(len, texts))


class Opening:
    """The request that a connection began with.

    Args:
        environ: the WSGI environ; not kept.
        trusted_proxies: see `Config.trusted_proxies`.
    """

    __slots__ = ("_head", "_trusted_proxies")

    def __init__(self, environ: Mapping[str, Any], trusted_proxies: tuple[str, ...]) -> None:
        self._trusted_proxies = trusted_proxies
        self._head = _SEPARATOR.join(
            [  # a list: it is joined faster than a generator
                f"{name}={value}"
                for name, value in environ.items()
                if (name[:5] == "HTTP_" and name not in _DROPPED) or name in _KEPT
            ]
        )

    def environ(self) -> dict[str, Any]:
        """Rebuild the part of the WSGI environ that was kept: header fields, path, query, peer."""
        pairs = (part.partition("=") for part in self._head.split(_SEPARATOR))
        return {name: value for name, _, value in pairs}

    def wsgi_environ(self) -> dict[str, Any]:
        """Make an environ that any WSGI framework takes: a GET of the same address, without a body."""
        return {
            "SCRIPT_NAME": "", "PATH_INFO": "/", "QUERY_STRING": "", "SERVER_NAME": "localhost", "SERVER_PORT": "80",
            "wsgi.url_scheme": "http", **self.environ(), "REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.version": (1, 0), "wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr, "wsgi.multithread": True,
            "wsgi.multiprocess": True, "wsgi.run_once": False,
        }  # fmt: skip

    @property
    def headers(self) -> EnvironHeaders:
        """The header fields; names in any letter case."""
        return EnvironHeaders(self.environ())

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies by name."""
        return parse_cookie(self.environ())

    @property
    def query(self) -> ImmutableMultiDict[str, str]:
        """The fields of the query; `query["name"]` is the first of that name."""
        text = self.environ().get("QUERY_STRING", "")
        return ImmutableMultiDict(parse_qsl(text, keep_blank_values=True, max_num_fields=1_000))

    @property
    def ip(self) -> str:
        """The client's address; behind trusted proxies what they say it is; "" for a UNIX socket."""
        return forwarded.client_ip(self.environ(), self._trusted_proxies)
