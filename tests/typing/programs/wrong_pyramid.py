"""A Pyramid app with a misspelt setting, and callbacks of neither kind."""

from __future__ import annotations

from pyramid.config import Configurator

from tina4_wsgi import Connection
from tina4_wsgi.contrib.pyramid import add_websocket, websocket_config


# mypy says call-arg: Unexpected keyword argument "permision" for "websocket_config"; did you mean "permission"
# pyright says reportCallIssue: No parameter named "permision"
@websocket_config("/ws/a", permision="view")
def board(connection: Connection, event: str, data: str | bytes) -> None: ...


# mypy says type-var: Value of type variable "Declared"
# pyright says reportArgumentType: is not assignable to type "WebsocketCallback"
@websocket_config("/ws/b")
def too_many(
    request: object, connection: Connection, event: str, data: str | bytes, more: int
) -> None: ...


async def waits(connection: Connection, event: str, data: str | bytes) -> None: ...


# mypy says arg-type: Argument 3 to "add_websocket" has incompatible type
# pyright says reportArgumentType: return type "CoroutineType[Any, Any, None]" is incompatible
add_websocket(Configurator(), "/ws/c", waits)
