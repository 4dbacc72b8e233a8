"""What is disturbed: clients on paths and in rooms, and a journal of each worker's callbacks."""

from __future__ import annotations

import functools
import os

from tests.support.leaks import live_greenlets
from tina4_wsgi import App, Connection, Request, Response, Router

router = Router()


@router.websocket("/ws/{path}")
def talk(connection: Connection, event: str, data: str | bytes) -> None:
    """Pass "path1 7" on to the path of this client, "room1 7" to its room."""
    tag, room = connection.query["tag"], connection.query["room"]
    if event == "message":
        assert isinstance(data, str)
        event = data.split()[0]
        if event == room:
            connection.broadcast_to_room(room, f"{tag} {data}")
        else:
            connection.broadcast(f"{tag} {data}")
    # In one write, which stays when the process is killed.
    os.write(journal(os.getpid()), f"{tag} {event}\n".encode())
    if event == "open":
        connection.join(room)
        connection.send(f"hello {os.getpid()}")


@functools.cache
def journal(pid: int) -> int:
    """Open the journal of this process."""
    path = os.path.join(os.environ["CHAOS_JOURNAL"], str(pid))
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@router.get("/state")
def state(request: Request, response: Response) -> dict[str, int]:
    """Tell what only the worker itself can see."""
    return {"pid": os.getpid(), "greenlets": len(live_greenlets())}


app = App(router=router)
