"""tina4_wsgi: a WSGI framework on gevent in which a WebSocket is a route like any other."""

from __future__ import annotations

from .app import App, broadcast
from .connection import Connection
from .errors import (
    ConfigError,
    ConnectionClosed,
    ForkError,
    ProtocolError,
    Refused,
    RouteError,
    Tina4Error,
    UsageError,
)
from .router import Router
from .version import __version__
from .wrappers import Request, Response

__all__ = [
    "App",
    "ConfigError",
    "Connection",
    "ConnectionClosed",
    "ForkError",
    "ProtocolError",
    "Refused",
    "Request",
    "Response",
    "RouteError",
    "Router",
    "Tina4Error",
    "UsageError",
    "__version__",
    "broadcast",
]
