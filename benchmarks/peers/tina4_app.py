"""Ours: the routes that every peer has, with all defaults, and two that keep history."""

from __future__ import annotations

import gc
from collections import Counter
from typing import Any

from greenlet import greenlet

from tina4_wsgi import App, Router, broadcast, position

closed: Counter[int | None] = Counter()


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
    elif event == "close":
        closed[connection.close_code] += 1


@Router.websocket("/ws/kept/{room}", history=100)
def kept(connection: Any, event: str, data: str | bytes) -> None:
    """Send each message to everybody on the path, and keep it."""
    if event == "message":
        connection.broadcast(data)


@Router.websocket("/ws/page/{room}", history=100)
def page(connection: Any, event: str, data: str | bytes) -> None:
    """Send each message back, on a path where the app says what is kept."""
    if event == "message":
        connection.send(data)


@Router.get("/position/{room}")
def where(request: Any, response: Any) -> dict[str, str]:
    """Tell where a page of a room is."""
    return {"position": position(f"/ws/page/{request.params.room}")}


@Router.get("/say/{room}/{count:int}")
def say(request: Any, response: Any) -> dict[str, int]:
    """Say so many messages of 64 bytes in a room."""
    for _ in range(request.params["count"]):
        broadcast(f"/ws/page/{request.params.room}", 64 * "x")
    return {"said": request.params["count"]}


@Router.get("/hello/{name}")
def hello(request: Any, response: Any) -> dict[str, str]:
    """Answer with JSON."""
    return {"hello": request.params.name}


@Router.get("/stats")
def stats(request: Any, response: Any) -> dict[str, Any]:
    """Tell the harness what it can't see from outside; it asks only beside or between
    measurements.
    """
    greenlets = sum(issubclass(type(one), greenlet) for one in gc.get_objects())
    return {
        "greenlets": greenlets,
        "closed": {str(code): count for code, count in closed.items()},
        "open": len(app.connections_here()),
    }


app = App()
