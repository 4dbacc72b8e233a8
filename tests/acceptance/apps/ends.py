"""A route whose callback does at each event what the client's query says, and writes all of it
down.

`/ws/ends/x?tag=7&open=raise&message=close:4000:enough`: what stands behind an event's name is done
at that event.
"""

from __future__ import annotations

from collections import defaultdict
from threading import Event

import journal

from tina4_wsgi import ConnectionClosed, Router

router = Router()
ended = defaultdict(Event)


@router.websocket("/ws/ends/{place}")
def ends(connection, event, data):
    journal.note_call(connection, event, data)
    if data == "end me":
        act(connection, "raise")
    elif event == "message":
        connection.send(f"heard {data}")
    act(connection, connection.query.get(event, ""))
    if event == "close":
        print(f"closed {connection.query.get('tag')}", flush=True)
        ended[connection.query.get("tag")].set()


router.websocket("/ws/strict/{place}", ends, on_error="close")


def act(connection, action):
    """Do what the query says: raise, close:CODE:REASON, or outlast:TAG, which waits for another's
    end.
    """
    name, _, rest = action.partition(":")
    if name == "raise":
        raise RuntimeError("raised on purpose")
    if name == "close":
        code, _, reason = rest.partition(":")
        connection.close(int(code), reason)
    if name == "close-and-send":
        connection.close()
        send_into_the_void(connection)
    if name == "outlast":
        ended[rest].wait()
        connection.send("done at last")


def send_into_the_void(connection):
    """Send on a closed connection and write down what comes of it."""
    try:
        connection.send("too late")
    except ConnectionClosed as exc:
        journal.note(connection.query.get("tag"), "refused", code=exc.code)
