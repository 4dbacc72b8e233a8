"""An `auth` that can't be called with the request."""

from __future__ import annotations

from tina4_wsgi import Connection, Router


def chat(connection: Connection, event: str, data: str | bytes) -> None: ...


def asks_nobody() -> str:
    return "ada"


# mypy says arg-type: Argument "auth" to "websocket" of "_Registrar" has incompatible type "Callable[[], str]"
# pyright says reportCallIssue: No overloads for "websocket" match
# pyright says reportArgumentType: parameter "auth"
Router.websocket("/a", chat, auth=asks_nobody)

# mypy says call-overload: No overload variant of "websocket"
# pyright says reportCallIssue: No overloads for "websocket" match
# pyright says reportArgumentType: parameter "auth"
Router.websocket("/b", chat, auth="ada")
