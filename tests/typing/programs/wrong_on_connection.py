"""What a connection doesn't have, and can't send."""

from __future__ import annotations

from tina4_wsgi import Connection, Router


@Router.websocket("/a")
def chat(connection: Connection, event: str, data: str | bytes) -> None:
    # mypy says attr-defined: "Connection" has no attribute "speak"
    # pyright says reportAttributeAccessIssue: Cannot access attribute "speak" for class "Connection"
    connection.speak(data)

    # mypy says arg-type: Argument 1 to "send" of "Connection" has incompatible type "int"
    # pyright says reportArgumentType: parameter "message"
    connection.send(7)


# mypy says arg-type: Argument 2 to "chat" has incompatible type "int"; expected "str"
# pyright says reportArgumentType: parameter "event"
chat(__import__("tina4_wsgi").Connection, 7, "")
