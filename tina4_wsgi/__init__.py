"""tina4_wsgi: a WSGI framework on gevent in which a WebSocket is a route like any other.

The names below are imported when they are first used: the pytest plugin is loaded wherever the package is
installed, and must not bring gevent to test runs that have nothing to do with it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_MODULES = {
    "App": "app", "broadcast": "app", "Connection": "connection", "Router": "router", "Request": "wrappers",
    "Response": "wrappers", "__version__": "version",
}  # fmt: skip
"""Where a public name is, if not in `errors`."""


def __getattr__(name: str) -> Any:  # Any: whatever has that name (PEP 562)
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f".{_MODULES.get(name, 'errors')}", __name__), name)
    globals()[name] = found  # the next look finds it at once
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
