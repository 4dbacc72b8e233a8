"""The same in a call, on a router and on a group."""

from tina4_wsgi import Connection, Router


def chat(connection: Connection, event: str, data: "str | bytes") -> None: ...


# mypy says call-overload: did you mean "ping_interval_s"
# mypy says call-overload: No overload variant of "websocket"
# pyright says reportCallIssue: No overloads for "websocket" match
Router().websocket("/a", chat, ping_intervall_s=20)

# mypy says call-overload: did you mean "on_error"
# mypy says call-overload: No overload variant of "websocket"
# pyright says reportCallIssue: No overloads for "websocket" match
Router.group("/b").websocket("/a", chat, on_eror="close")
