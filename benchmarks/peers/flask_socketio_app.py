"""Flask-SocketIO with threads, served by gunicorn's gthread worker; `path` in the address of a
connection says what it is for.
"""

from flask import Flask, request
from flask_socketio import SocketIO, join_room, send

ECHO = "/ws/echo"

app = Flask(__name__)
# Otherwise each message has a thread of its own, and those of one client overtake each other.
socketio = SocketIO(app, async_mode="threading", async_handlers=False)


@socketio.on("connect")
def connect():
    """Put who isn't here for the echo into a room."""
    if request.args["path"] != ECHO:
        join_room(request.args["path"])


@socketio.on("message")
def message(text):
    """Send each message back, or to everybody in the room."""
    path = request.args["path"]
    if path == ECHO:
        send(text)
    else:
        send(text, to=path)
