"""Rooms in which the server says what it is told by HTTP; kept as `CHAOS_HISTORY` says."""

from __future__ import annotations

import os
from typing import Any

from tina4_wsgi import App, Connection, Request, Response, Router, broadcast

HISTORY = int(os.environ.get("CHAOS_HISTORY", "0"))

router = Router()
# Any: a route that keeps nothing is written as one that never heard of it.
kept: dict[str, Any] = {"history": HISTORY, "history_s": 300} if HISTORY else {}


def listen(connection: Connection, event: str, data: str | bytes) -> None:
    """Have clients listen."""


router.websocket("/ws/room/{name}", listen, **kept)


@router.post("/say/{name}")
def say(request: Request, response: Response) -> dict[str, bool]:
    """Say the body in a room."""
    broadcast(f"/ws/room/{request.params.name}", request.body.decode())
    return {"said": True}


app = App(router=router)
