"""An application whose limits are tight, so that tests reach them quickly. Settings that are not a
route's alone come from the environment.
"""

from __future__ import annotations

from collections import defaultdict
from threading import Event

import journal
import probe

from tina4_wsgi import App, ConnectionClosed, Router

router = Router()

NAP_S = 0.1
alarms = defaultdict(Event)


@router.websocket("/ws/pinged/{name}")
def pinged(connection, event, data):
    journal.note_call(connection, event, data)


@router.websocket("/ws/loud/{room}", ping_interval_s=0, send_timeout_s=60)
def loud(connection, event, data):
    """Pass on what comes to all in the room. Only the limit on bytes ends who is slow, time
    doesn't.
    """
    if event == "message":
        connection.broadcast(data)
    else:
        journal.note_call(connection, event, data)


@router.websocket("/ws/echo/{name}", ping_interval_s=0)
def echo(connection, event, data):
    if event == "message":
        connection.send(data)
    else:
        journal.note_call(connection, event, data)


@router.websocket("/ws/flooding/{name}", ping_interval_s=0)
def flooding(connection, event, data):
    """Send short messages without end."""
    try:
        while event == "message":
            connection.send(data)
    except ConnectionClosed as exc:
        journal.note(connection.query.get("tag"), "refused", code=exc.code)
    journal.note_call(connection, event, data)


@router.websocket("/ws/napping/{name}", ping_interval_s=0)
def napping(connection, event, data):
    """Be slower than the client, until somebody wakes the napping of this name."""
    if event == "message":
        alarms[connection.params.name].wait(NAP_S)


@router.websocket("/ws/waiting/{name}", ping_interval_s=0)
def waiting(connection, event, data):
    """Wait until somebody wakes the waiting of this name."""
    if event == "message":
        alarms[connection.params.name].wait()
        connection.send("awake")


@router.post("/wake/{name}")
def wake(request, response):
    alarms[request.params.name].set()
    return "awake"


@router.websocket("/ws/parting/{name}", ping_interval_s=0)
def parting(connection, event, data):
    """Close from our side at once."""
    journal.note_call(connection, event, data)
    if event == "open":
        connection.close(4000, "enough")


@router.websocket("/ws/counted/{name}", ping_interval_s=0)
def counted(connection, event, data):
    if event == "open":
        connection.send("welcome")


app = App(router=router)
probe.install(router, lambda: app)
