"""Connection events: the three things that can happen to a connection, in their order.

"open" comes first and once, then any number of "message", then "close", once,
however the connection ended.
"""

import json
from datetime import datetime, timezone

from tina4_wsgi import Router


@Router.websocket("/ws/chat")
def chat(connection, event, data):
    match event:
        case "open":
            print(f"[Chat] New connection: {connection.id}")
            connection.send(json.dumps({
                "type": "system",
                "message": "Welcome to the chat!",
                "your_id": connection.id,
            }))

        case "message":
            message = json.loads(data)
            text = message.get("text", data)
            print(f"[Chat] {connection.id}: {text!r}")
            connection.broadcast(json.dumps({
                "type": "message",
                "from": connection.id,
                "text": text,
                "timestamp": now(),
            }))

        case "close":
            print(f"[Chat] Disconnected: {connection.id}")


def now():
    """The time in UTC, in the form that JavaScript's `toISOString()` gives: 2026-01-31T12:00:00.000Z."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
