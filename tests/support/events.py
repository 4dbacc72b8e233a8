"""What a callback's event finds around it, made without a server: for the frameworks' bridges."""

from __future__ import annotations

from typing import Any

from tina4_wsgi import App
from tina4_wsgi.opening import Opening


class Connection:
    """What an event closes."""

    closed_with: int | None = None

    def close(self, code: int, reason: str) -> None:
        self.closed_with = code


def context_of(app: App, event: str, connection: Connection) -> Any:  # Any: what the app's bridge makes
    """Give the context of an event on /ws/x; "auth" comes before there is a connection."""
    environ = Opening({"PATH_INFO": "/ws/x", "HTTP_HOST": "shop.example"}, ()).wsgi_environ()
    environ["tina4_wsgi.match"] = app._match("/ws/x")
    if event != "auth":
        environ["tina4_wsgi.connection"] = connection
    assert app._bridge is not None
    return app._bridge.context(environ, event)
