"""Ours: the routes that every peer has, with all defaults."""

from __future__ import annotations

import gc
from collections import Counter
from typing import Any

from greenlet import greenlet

from tina4_wsgi import App, Router

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
    return {"greenlets": greenlets, "closed": {str(code): count for code, count in closed.items()}}


app = App()
