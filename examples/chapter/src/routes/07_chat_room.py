"""The exercise: a chat room with names, join and leave messages, and its page.

Open /room/general in two windows. What a client may send:
{"type": "set-name", "name": …} and {"type": "chat", "text": …}.
"""

import json
import time

from tina4_wsgi import Router

# Who is where, by room and connection id. "close" takes the entry out again.
room_users = {}


@Router.websocket("/ws/room/{roomName}")
def chat_room(connection, event, data):
    room = connection.params.roomName
    key = f"{room}:{connection.id}"

    if event == "open":
        room_users[key] = "Anonymous"
        connection.send(
            json.dumps(
                {
                    "type": "system",
                    "message": f"Welcome to room: {room}",
                }
            )
        )
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

        if message.get("type") == "set-name":
            old_name = room_users[key]
            room_users[key] = message.get("name") or "Anonymous"
            connection.broadcast(
                json.dumps(
                    {
                        "type": "system",
                        "message": f"{old_name} changed their name to {room_users[key]}",
                    }
                )
            )

        if message.get("type") == "chat":
            connection.broadcast(
                json.dumps(
                    {
                        "type": "chat",
                        "from": room_users[key],
                        "text": message.get("text") or "",
                        "timestamp": time.strftime("%H:%M:%S"),
                    }
                )
            )

    if event == "close":
        # "close" runs even if "open" failed half-way, so the entry may never have been made.
        username = room_users.pop(key, "Anonymous")
        connection.broadcast(
            json.dumps(
                {
                    "type": "system",
                    "message": f"{username} left the room",
                }
            )
        )


@Router.get("/room/{roomName}")
def room_page(request, response):
    return response.html("room.html", {"room": request.params.roomName})
