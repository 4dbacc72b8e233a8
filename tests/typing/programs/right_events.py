"""The three events, told apart."""

# pyright: strict

from __future__ import annotations

from typing_extensions import assert_never

from tina4_wsgi import Connection, Event, Router


@Router.websocket("/a")
def chat(connection: Connection, event: Event, data: str | bytes) -> None:
    if event == "open":
        connection.send("hello")
    elif event == "message":
        connection.send(data if isinstance(data, bytes) else data.upper())
    elif event == "close":
        print(connection.close_code)
    else:
        assert_never(event)
