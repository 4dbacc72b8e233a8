"""A choice of a route that there is not."""

from tina4_wsgi import Connection, Router


# mypy says call-overload: No overload variant of "websocket"
# mypy says untyped-decorator: Untyped decorator makes function "chat" untyped
# pyright says reportArgumentType: "Literal['ignore']" is not assignable to type "Literal['keep', 'close']"
@Router.websocket("/a", on_error="ignore")
def chat(connection: Connection, event: str, data: "str | bytes") -> None: ...
