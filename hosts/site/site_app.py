"""The application that every host server is tried with. It patches nothing: that is the server's
part.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tina4_wsgi import App, Connection, Request, Response, Router, broadcast

router = Router()


@router.get("/hello/{name}")
def hello(request: Request, response: Response) -> str:
    """Answer plain HTTP."""
    return f"hello {request.params.name}"


@router.get("/pid")
def pid(request: Request, response: Response) -> str:
    """Say which worker answers."""
    return str(os.getpid())


@router.post("/push/{name}")
def push(request: Request, response: Response) -> str:
    """Broadcast from a view."""
    broadcast(f"/ws/room/{request.params.name}", request.body.decode())
    return "pushed"


@router.websocket("/ws/echo/{name}", subprotocols=("chat.v2",), deflate=True)
def echo(connection: Connection, event: str, data: str | bytes) -> None:
    """Send each message back."""
    if event == "message" and isinstance(data, str):
        connection.send(f"{connection.params['name']}: {data}")


@router.websocket("/ws/room/{name}")
def room(connection: Connection, event: str, data: str | bytes) -> None:
    """Pass each message on to everybody in the room."""
    if event == "message":
        connection.broadcast(data)


app = App(router=router, root=Path(__file__).parent)


def wrapped(
    environ: dict[str, Any], start_response: Any
) -> Iterable[bytes]:  # Any: as PEP 3333 has it
    """The same, behind a middleware: with `?wrapped` one that wraps `start_response`, as those for
    sessions do, with `?collected` one that begins the answer when it has the whole of it, as those
    made with WebOb do.
    """
    if environ["QUERY_STRING"] not in ("wrapped", "collected"):
        return app(environ, start_response)
    begun: list[tuple[str, list[tuple[str, str]]]] = []

    def start_and_add(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        begun.append((status, [*headers, ("X-Middleware", "was here")]))
        if environ["QUERY_STRING"] == "wrapped":
            return start_response(*begun[-1], *([exc_info] if exc_info else []))
        return pieces.append

    pieces: list[bytes] = []
    answer = app(environ, start_and_add)
    if environ["QUERY_STRING"] == "wrapped":
        return answer
    pieces.extend(answer)
    start_response(*begun[-1])
    return pieces
