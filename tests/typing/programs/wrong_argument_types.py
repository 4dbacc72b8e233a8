"""Callbacks that take something else: their arguments in another order, or no bytes."""

from __future__ import annotations

from tina4_wsgi import Connection, Router


# mypy says type-var: cannot be "Callable[[str, Connection, str | bytes], None]"
# pyright says reportArgumentType: Parameter 1: type "Connection" is incompatible with type "str"
@Router.websocket("/a")
def swapped(event: str, connection: Connection, data: str | bytes) -> None: ...


# mypy says type-var: cannot be "Callable[[Connection, str, str], None]"
# pyright says reportArgumentType: Parameter 3: type "str | bytes" is incompatible with type "str"
@Router.websocket("/b")
def texts_only(connection: Connection, event: str, data: str) -> None: ...


# mypy says type-var: cannot be "Callable[[Connection, int, str | bytes], None]"
# pyright says reportArgumentType: Parameter 2
@Router.websocket("/c")
def numbered(connection: Connection, event: int, data: str | bytes) -> None: ...
