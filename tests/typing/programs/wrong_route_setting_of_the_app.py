"""Settings that only an app has, and None, which a route doesn't take."""

from tina4_wsgi import Connection, Router


def chat(connection: Connection, event: str, data: "str | bytes") -> None: ...


# mypy says call-overload: Unexpected keyword argument "max_connections" for overloaded function "websocket"
# mypy says call-overload: No overload variant of "websocket"
# pyright says reportCallIssue: No overloads for "websocket" match
Router.websocket("/a", chat, max_connections=10)

# mypy says call-overload: No overload variant of "websocket"
# pyright says reportCallIssue: No overloads for "websocket" match
# pyright says reportArgumentType: parameter "max_message_bytes"
Router.websocket("/b", chat, max_message_bytes=None)
