"""Callbacks that can't be called with a connection, an event and data."""

from __future__ import annotations

from tina4_wsgi import Connection, Router

router = Router()


# mypy says type-var: cannot be "Callable[[Connection, str], None]"
# pyright says reportArgumentType: too few positional parameters; expected 3 but received 2
@router.websocket("/a")
def too_few(connection: Connection, event: str) -> None: ...


# mypy says type-var: cannot be "Callable[[Connection, str, str | bytes, int], None]"
# pyright says reportArgumentType: Extra parameter "more"
@router.websocket("/b")
def too_many(connection: Connection, event: str, data: str | bytes, more: int) -> None: ...


# mypy says type-var: cannot be "Callable[[], None]"
# pyright says reportArgumentType: too few positional parameters; expected 3 but received 0
@Router.websocket("/c")
def none_at_all() -> None: ...
