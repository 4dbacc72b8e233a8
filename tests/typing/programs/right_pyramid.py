"""A Pyramid app with WebSockets, whose callbacks may take the request."""

from __future__ import annotations

from pyramid.config import Configurator
from pyramid.request import Request

from tina4_wsgi import Connection, Event
from tina4_wsgi.contrib.pyramid import add_websocket, permission_required, websocket_config, wrap


@websocket_config("/ws/a", permission="view", max_message_bytes=4_096)
def with_request(
    request: Request, connection: Connection, event: Event, data: str | bytes
) -> None: ...


@websocket_config("/ws/b", auth=permission_required("edit"), subprotocols=["chat"])
def without_request(connection: Connection, event: str, data: str | bytes) -> None: ...


config = Configurator()
add_websocket(config, "/ws/c", with_request, reauth_every=30)
add_websocket(config, "/ws/d", "boards.live")
app = wrap(config.make_wsgi_app(), ping_interval_s=20)
