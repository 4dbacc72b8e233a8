"""Live chat with typing indicators: the "type" of a message says which kind it is.

What a client may send: {"type": "set-username", "username": …}, {"type": "typing"} and
{"type": "message", "text": …}; without a type it is a message.

The route keeps its latest broadcasts: a page that was away for a while, because the server was
started anew, say, gets what it missed, without a line for it here or in the page.
"""

import json

from tina4_wsgi import Router

from ._clock import utc_now

# Users by connection id. "close" removes the entry, or the dict would grow for ever.
chat_users = {}


@Router.websocket("/ws/livechat/{room}", history=100)
def livechat(connection, event, data):
    room = connection.params.room

    if event == "open":
        chat_users[connection.id] = {"id": connection.id, "username": "Anonymous", "room": room}
        connection.send(
            json.dumps(
                {
                    "type": "welcome",
                    "message": f"Connected to room: {room}",
                    "your_id": connection.id,
                }
            )
        )

    if event == "message":
        message = json.loads(data)
        kind = message.get("type", "message")
        user = chat_users[connection.id]

        if kind == "set-username":
            old_name = user["username"]
            user["username"] = message.get("username") or "Anonymous"
            connection.broadcast(
                json.dumps(
                    {
                        "type": "system",
                        "message": f"{old_name} is now known as {user['username']}",
                    }
                )
            )

        if kind == "message":
            connection.broadcast(
                json.dumps(
                    {
                        "type": "message",
                        "from": user["username"],
                        "text": message.get("text") or "",
                        "timestamp": utc_now(),
                    }
                )
            )

        # Only for those who are there: a page that comes back later needn't know.
        if kind == "typing":
            connection.broadcast(
                json.dumps(
                    {
                        "type": "typing",
                        "username": user["username"],
                    }
                ),
                keep=False,
            )

    if event == "close":
        # "close" runs even if "open" failed half-way, so the entry may never have been made.
        user = chat_users.pop(connection.id, {"username": "Unknown"})
        connection.broadcast(
            json.dumps(
                {
                    "type": "system",
                    "message": f"{user['username']} left the chat",
                }
            )
        )
