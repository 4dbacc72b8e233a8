"""One hall and named rooms; what a client sends is a command, and each process tells about itself
over HTTP.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import gevent
from gevent.monkey import get_original

import tina4_wsgi
from tina4_wsgi import App, Router

router = Router()
failures: list[str] = []


@router.websocket("/ws/hall/{name}", presence_fields=("user",))
def hall(connection, event, data):
    """Do what the first word of a message says; what is no command is for everybody."""
    if event == "open":
        connection.state["user"] = connection.query.get("user", "nobody")
        connection.state["secret"] = "not for others"
    elif event == "close" and connection.query.get("farewell"):
        connection.broadcast(f"farewell {os.getpid()}")
    elif event == "message":
        name, _, rest = data.partition(" ")
        try:
            COMMANDS.get(name, lambda connection, rest: connection.broadcast(data))(
                connection, rest
            )
        except BaseException as exc:
            failures.append(repr(exc))
            raise


def join(connection, room):
    connection.join(room)
    connection.send("joined")


def to_room(connection, rest):
    room, _, text = rest.partition(" ")
    connection.broadcast_to_room(room, text, exclude_self=True)


COMMANDS = {
    "pid": lambda connection, rest: connection.send(f"pid {os.getpid()}"),
    "id": lambda connection, rest: connection.send(connection.id),
    "who": lambda connection, rest: connection.send_json(
        sorted(one.state["user"] for one in connection.members())
    ),
    "room": join,
    "to-room": to_room,
    "others": lambda connection, rest: connection.broadcast(rest, exclude_self=True),
    "from-thread": lambda connection, rest: get_original("_thread", "start_new_thread")(
        connection.broadcast, (rest,)
    ),
}


def who(request):
    """Let in whoever says a name."""
    return {"user": request.query.get("user")}


router.websocket("/ws/members/{name}", hall, auth=who, presence_fields=("user",))


def who_in_the_end(request):
    """Say so in the folder GATE that somebody is being looked at, and answer when there is a file
    "open".
    """
    gate = Path(os.environ["GATE"])
    (gate / f"asked {request.query.get('user')}").touch()
    while not (gate / "open").exists():
        gevent.sleep(0.005)
    return who(request)


router.websocket("/ws/slow/{name}", hall, auth=who_in_the_end, presence_fields=("user",))


@router.get("/state/{name}")
def state(request, response):
    """Tell what this worker knows."""
    path = f"/ws/hall/{request.params.name}"
    return {
        "pid": os.getpid(),
        "here": app._runtime.count_here(2, path) if app._runtime else 0,
        "count": app.count(path),
        "members": [[one.id, one.auth, one.state] for one in app.members(path)],
        "status": app.backplane_status()._asdict(),
        "failures": failures,
    }


@router.get("/members/{name}")
def members(request, response):
    """Tell who is on a path with a login."""
    found = tina4_wsgi.members(f"/ws/members/{request.params.name}")
    return [{"id": one.id, "auth": one.auth, "state": one.state} for one in found]


@router.get("/disconnect")
def disconnect(request, response):
    """Send those away whom the query, which is JSON, means."""
    return {"told": tina4_wsgi.disconnect(**json.loads(request.query["whom"]))}


@router.get("/broadcast/{text}")
def broadcast(request, response):
    """Speak from an HTTP handler."""
    tina4_wsgi.broadcast("/ws/hall/a", request.params.text)
    return {"pid": os.getpid()}


app = App(router=router)
