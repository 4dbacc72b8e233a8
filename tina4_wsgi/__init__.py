"""tina4_wsgi: a WSGI framework on gevent in which a WebSocket is a route like any other.

The public names are imported when they are first asked for: `publish` is for processes without
gevent, and the pytest plugin is loaded wherever the package is installed, and must not bring gevent
to test runs that don't need it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app import (
        App,
        broadcast,
        count,
        disconnect,
        forget,
        history,
        members,
        position,
    )
    from .backplane.contract import Receipt, Status
    from .backplane.publishing import Publisher, publish
    from .engine.presence import Member
    from .errors import (
        BackplaneError,
        ConfigError,
        ConnectionClosed,
        ForkError,
        JournalError,
        MessageError,
        ProtocolError,
        Refused,
        RouteError,
        Tina4Error,
        UsageError,
    )
    from .http.results import Request, Response
    from .journal.past import KeptMessage
    from .routing.callbacks import Event
    from .routing.router import Router
    from .version import __version__
    from .websocket.asking import ask
    from .websocket.bridge import Bridge
    from .websocket.connection import Connection
    from .websocket.verdict import ANONYMOUS

__all__ = [
    "ANONYMOUS",
    "App",
    "BackplaneError",
    "Bridge",
    "ConfigError",
    "Connection",
    "ConnectionClosed",
    "Event",
    "ForkError",
    "JournalError",
    "KeptMessage",
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
    "ask",
    "broadcast",
    "count",
    "disconnect",
    "forget",
    "history",
    "members",
    "position",
    "publish",
]

_MODULES = {
    "app": (
        "App",
        "broadcast",
        "count",
        "disconnect",
        "forget",
        "history",
        "members",
        "position",
    ),
    "backplane.contract": ("Receipt", "Status"),
    "websocket.connection": ("Connection",),
    "errors": (
        "BackplaneError",
        "ConfigError",
        "ConnectionClosed",
        "ForkError",
        "JournalError",
        "MessageError",
        "ProtocolError",
        "Refused",
        "RouteError",
        "Tina4Error",
        "UsageError",
    ),
    "engine.presence": ("Member",),
    "journal.past": ("KeptMessage",),
    "backplane.publishing": ("Publisher", "publish"),
    "routing.callbacks": ("Event",),
    "routing.router": ("Router",),
    "websocket.asking": ("ask",),
    "websocket.bridge": ("Bridge",),
    "websocket.verdict": ("ANONYMOUS",),
    "version": ("__version__",),
    "http.results": ("Request", "Response"),
}
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
