"""The throwaway prototype: the same routes; its folder comes first on PYTHONPATH."""

from __future__ import annotations

from typing import Any

from tina4_wsgi import App, Router


@Router.websocket("/ws/echo")
def echo(connection: Any, event: str, data: str | bytes) -> None:
    """Send each message back."""
    if event == "message":
        connection.send(data)


@Router.websocket("/ws/chat/{room}")
def chat(connection: Any, event: str, data: str | bytes) -> None:
    """Send each message to everybody on the path."""
    if event == "message":
        connection.broadcast(data)


app = App()
