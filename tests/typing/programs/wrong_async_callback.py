"""An `async def`, which nothing would await."""

from tina4_wsgi import Connection, Router


# mypy says type-var: Value of type variable "Callback" of "__call__" of "WebsocketDecorator" cannot be
# pyright says reportArgumentType: return type "CoroutineType[Any, Any, None]" is incompatible
@Router.websocket("/a")
async def chat(connection: Connection, event: str, data: "str | bytes") -> None: ...
