"""Connection events: the three things that can happen to a connection, in their order.

"open" comes first and once, then any number of "message", then "close", once,
however the connection ended.
"""

import json

from tina4_wsgi import Router

from ._clock import utc_now


@Router.websocket("/ws/chat")
def chat(connection, event, data):
    match event:
        case "open":
            print(f"[Chat] New connection: {connection.id}")
            connection.send(
                json.dumps(
                    {
                        "type": "system",
                        "message": "Welcome to the chat!",
                        "your_id": connection.id,
                    }
                )
            )

        case "message":
            message = json.loads(data)
            text = message.get("text", data)
            print(f"[Chat] {connection.id}: {text!r}")
            connection.broadcast(
                json.dumps(
                    {
                        "type": "message",
                        "from": connection.id,
                        "text": text,
                        "timestamp": utc_now(),
                    }
                )
            )

        case "close":
            print(f"[Chat] Disconnected: {connection.id}")
