"""A decorator without its path."""

from __future__ import annotations

from tina4_wsgi import Connection, Router


# mypy says call-overload: No overload variant of "websocket" of "_Registrar" matches argument type
# pyright says reportArgumentType: parameter "path" of type "str"
@Router.websocket
def chat(connection: Connection, event: str, data: str | bytes) -> None: ...
