"""tina4_wsgi: a WSGI framework on gevent in which a WebSocket is a route like any other.

The public names are imported when they are first asked for: `publish` is for processes without gevent, and the pytest
plugin is loaded wherever the package is installed, and must not bring gevent to test runs that don't need it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app import App, broadcast, count, disconnect, members
    from .backplane.port import Receipt, Status
    from .callbacks import Event
    from .connection import Connection
    from .errors import (
        BackplaneError,
        ConfigError,
        ConnectionClosed,
        ForkError,
        MessageError,
        ProtocolError,
        Refused,
        RouteError,
        Tina4Error,
        UsageError,
    )
    from .presence import Member
    from .publishing import Publisher, publish
    from .router import Router
    from .verdict import ANONYMOUS
    from .version import __version__
    from .wrappers import Request, Response

__all__ = [
    "ANONYMOUS",
    "App",
    "BackplaneError",
    "ConfigError",
    "Connection",
    "ConnectionClosed",
    "Event",
    "ForkError",
    "Member",
    "MessageError",
    "ProtocolError",
    "Publisher",
    "Receipt",
    "Refused",
    "Request",
    "Response",
    "RouteError",
    "Router",
    "Status",
    "Tina4Error",
    "UsageError",
    "__version__",
    "broadcast",
    "count",
    "disconnect",
    "members",
    "publish",
]

_MODULES = {
    "app": ("App", "broadcast", "count", "disconnect", "members"),
    "backplane.port": ("Receipt", "Status"),
    "callbacks": ("Event",),
    "connection": ("Connection",),
    "errors": (
        "BackplaneError", "ConfigError", "ConnectionClosed", "ForkError", "MessageError", "ProtocolError", "Refused",
        "RouteError", "Tina4Error", "UsageError",
    ),
    "presence": ("Member",),
    "publishing": ("Publisher", "publish"),
    "router": ("Router",),
    "verdict": ("ANONYMOUS",),
    "version": ("__version__",),
    "wrappers": ("Request", "Response"),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:  # Any: whatever the name stands for
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = found  # the next time it is an ordinary global
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
