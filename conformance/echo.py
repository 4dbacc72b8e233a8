"""The app that the suite talks to: every message goes back as it came."""

from __future__ import annotations

from pathlib import Path

from tina4_wsgi import App, Connection, Router

router = Router()


@router.websocket("/echo")
def echo(connection: Connection, event: str, data: str | bytes) -> None:
    """Send each message back."""
    if event == "message":
        connection.send(data)


app = App(router=router, root=Path(__file__).parent)
