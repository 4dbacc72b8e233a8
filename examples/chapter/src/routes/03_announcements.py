"""Broadcasting: a message for every connection on the same path, the sender's own included.

A new connection gets its own "A new user joined"; one that closes is gone before the others get "A
user left".
"""

import json

from tina4_wsgi import Router

from ._clock import utc_now


@Router.websocket("/ws/announcements")
def announcements(connection, event, data):
    if event == "open":
        connection.broadcast(
            json.dumps(
                {
                    "type": "system",
                    "message": "A new user joined",
                }
            )
        )

    if event == "message":
        message = json.loads(data)
        connection.broadcast(
            json.dumps(
                {
                    "type": "announcement",
                    "from": connection.id,
                    "text": message.get("text") or "",
                    "timestamp": utc_now(),
                }
            )
        )

    if event == "close":
        connection.broadcast(
            json.dumps(
                {
                    "type": "system",
                    "message": "A user left",
                }
            )
        )
