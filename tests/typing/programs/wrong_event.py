"""An event that never comes."""

# pyright: strict

from __future__ import annotations

from tina4_wsgi import Connection, Event, Router


@Router.websocket("/a")
def chat(connection: Connection, event: Event, data: str | bytes) -> None:
    # mypy says comparison-overlap: right operand type: "Literal['connect']"
    # pyright says reportUnnecessaryComparison: have no overlap
    if event == "connect":
        connection.send(data)
