"""A setting of a route that is misspelt."""

from tina4_wsgi import Connection, Router


# mypy says call-overload: Unexpected keyword argument "max_mesage_bytes" for overloaded function "websocket"
# mypy says call-overload: No overload variant of "websocket"
# mypy says untyped-decorator: Untyped decorator makes function "chat" untyped
# pyright says reportCallIssue: No overloads for "websocket" match
@Router.websocket("/a", max_mesage_bytes=4_096)
def chat(connection: Connection, event: str, data: "str | bytes") -> None: ...
