"""A callback with a `yield`, which nothing would run."""

from __future__ import annotations

from collections.abc import Iterator

from tina4_wsgi import Connection, Router


# mypy says type-var: cannot be "Callable[[Connection, str, str | bytes], Iterator[int]]"
# pyright says reportArgumentType: return type "Iterator[int]" is incompatible
@Router.websocket("/a")
def chat(connection: Connection, event: str, data: str | bytes) -> Iterator[int]:
    yield 1
