"""An `async def` on a router, in a call and on a group."""

from tina4_wsgi import Connection, Router


async def chat(connection: Connection, event: str, data: "str | bytes") -> None: ...


class Board:
    async def on_event(self, connection: Connection, event: str, data: "str | bytes") -> int:
        return 1


# mypy says arg-type: str | bytes], Coroutine[Any, Any, None]]"; expected "Callable[[Connection, Literal['open',
# pyright says reportCallIssue: No overloads for "websocket" match
# pyright says reportArgumentType: return type "CoroutineType[Any, Any, None]" is incompatible
Router().websocket("/a", chat)

# mypy says type-var: Coroutine[Any, Any, None]
# pyright says reportArgumentType: return type "CoroutineType[Any, Any, None]" is incompatible
Router.group("/b").websocket("/a")(chat)

# mypy says arg-type: str | bytes], Coroutine[Any, Any, int]]"; expected "Callable[[Connection, Literal['open',
# pyright says reportCallIssue: No overloads for "websocket" match
# pyright says reportArgumentType: return type "CoroutineType[Any, Any, int]" is incompatible
Router.websocket("/c", Board().on_event)
