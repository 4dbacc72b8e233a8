"""One event of a wrapped app, made without a server: for the frameworks' bridges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tina4_wsgi import App
from tina4_wsgi.routing.matching import Match
from tina4_wsgi.websocket.opening_handshake import OpeningHandshake


class Connection:
    """What an event closes."""

    path = "/ws/x"
    closed_with: int | None = None

    def close(self, code: int, reason: str) -> None:
        self.closed_with = code


def found(app: App, path: str) -> Match | None:
    """The route that an upgrade at a path finds, in the router or in the framework."""
    route = app._acceptor.find_route({"PATH_INFO": path, "HTTP_HOST": "shop.example"}, path)
    return None if route is None else route[1]


def run_event(
    app: App, event: str, connection: Connection, call: Callable[[], object], **environ: Any
) -> object:
    """Run an event on /ws/x and give what it gave; "auth" comes before there is a connection."""
    made = {
        **OpeningHandshake({"PATH_INFO": "/ws/x", "HTTP_HOST": "shop.example"}, ()).wsgi_environ(),
        **environ,
    }
    made["tina4_wsgi.match"] = found(app, "/ws/x")
    if event != "auth":
        made["tina4_wsgi.connection"] = connection
    assert app._bridge is not None
    return app._bridge.run(made, event, call)
