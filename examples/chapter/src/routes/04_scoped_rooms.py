"""Path parameters: one route, any number of rooms, and walls between them.

/ws/chat/general and /ws/chat/dev-team are two paths, so a broadcast in one never reaches the other.
`connection.params.room` and `connection.params["room"]` are the same.
"""

import json

from tina4_wsgi import Router

from ._clock import utc_now


@Router.websocket("/ws/chat/{room}")
def scoped_chat(connection, event, data):
    room = connection.params.room

    if event == "open":
        connection.broadcast(
            json.dumps(
                {
                    "type": "system",
                    "message": f"Someone joined room {room}",
                }
            )
        )

    if event == "message":
        message = json.loads(data)
        connection.broadcast(
            json.dumps(
                {
                    "type": "message",
                    "room": room,
                    "from": message.get("username") or "Anonymous",
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
                    "message": f"Someone left room {room}",
                }
            )
        )
