"""Applications that have WebSockets by other libraries, as they are and with an App around them."""

from __future__ import annotations

import json
from pathlib import Path

import flask
import flask_sock
import flask_socketio

from tina4_wsgi import App, Router

router = Router()


@router.websocket("/ws/ours")
def ours(connection, event, data):
    if event == "message":
        connection.send(f"ours: {data}")


def around(app, **settings):
    return App(app, router=router, root=Path(__file__).parent, **settings)


# -- Flask-SocketIO: its two modes that make sense under gevent


def socketio_app(async_mode):
    app = flask.Flask(__name__)
    socketio = flask_socketio.SocketIO(app, async_mode=async_mode)

    @socketio.on("question")
    def question(data):
        socketio.emit("answer", data.upper())

    app.add_url_rule("/mode", view_func=lambda: socketio.async_mode)
    return app


gevent_mode = socketio_app("gevent")
threading_mode = socketio_app("threading")
gevent_mode_inside = around(gevent_mode, gevent_websocket_paths="/socket.io")
threading_mode_inside = around(threading_mode)


# -- flask-sock


sock_app = flask.Flask(__name__)
sock = flask_sock.Sock(sock_app)


@sock.route("/sock")
def sock_echo(ws):
    while True:
        ws.send(f"sock: {ws.receive()}")


sock_inside = around(sock_app)


# -- gevent-websocket, by the key in the environ


def chat(environ, start_response):
    """Send what one says to all, by what gevent-websocket's server knows of its clients."""
    websocket = environ.get("wsgi.websocket")
    if websocket is None:
        start_response("404 Not Found", [("Content-Length", "0")])
        return [b""]
    handler = websocket.handler
    websocket.send(
        json.dumps([websocket.path, websocket.version, websocket.origin, websocket.protocol])
    )
    while (message := websocket.receive()) is not None:
        for client in list(handler.server.clients.values()):
            client.ws.send(f"chat: {message}")
    return []


chat_inside = around(chat, gevent_websocket_paths=["/chat", "/Grüße/"])


class Failing:
    """Fails on each connection; and speaks a subprotocol."""

    def app_protocol(self, path):
        return "legacy.v1"

    def __call__(self, environ, start_response):
        environ["wsgi.websocket"].send("before")
        raise LookupError("on purpose")


failing_inside = around(Failing(), gevent_websocket_paths=("/",))


def with_a_middleware(environ, start_response):
    """Add a field to each answer."""

    def begin(status, headers, exc_info=None):
        return start_response(status, [*headers, ("X-Around", "was here")], exc_info)

    return chat_inside(environ, begin)


with_a_middleware.claims_upgrade = chat_inside.claims_upgrade
