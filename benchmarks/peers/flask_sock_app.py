"""flask-sock, served by gunicorn's gevent worker."""

from collections import defaultdict

from flask import Flask
from flask_sock import Sock
from simple_websocket import ConnectionClosed

app = Flask(__name__)
sock = Sock(app)
rooms = defaultdict(set)


@sock.route("/ws/echo")
def echo(ws):
    """Send each message back."""
    while True:
        ws.send(ws.receive())


@sock.route("/ws/chat/<room>")
def chat(ws, room):
    """Send each message to everybody in the room."""
    members = rooms[room]
    members.add(ws)
    try:
        while True:
            message = ws.receive()
            for member in list(members):
                send(member, message)
    finally:
        members.discard(ws)


def send(ws, message):
    """Send to somebody who may have gone meanwhile."""
    try:
        ws.send(message)
    except ConnectionClosed:
        pass
