"""Applications of which a test asks which hosts, pages and paths they serve."""

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402

import flask  # noqa: E402

from tina4_wsgi import App, Router  # noqa: E402
from tina4_wsgi.contrib.flask import websocket, wrap  # noqa: E402

router = Router()


@router.websocket("/ws/{room}")
def room(connection, event, data):
    if event == "message":
        connection.send(data)


@router.get("/about")
def about(request, response):
    return {
        "host": request.host,
        "scheme": request.scheme,
        "root": request.root_path,
        "ip": request.ip,
    }


app = App(router=router, health="/health", metrics=os.environ.get("METRICS", ""))
listed = App(
    router=router, health="/health", allowed_hosts=["shop.example", "*.friends.example:8443"]
)

front = flask.Flask("front")


@websocket(front, "/ws/known")
def known(connection, event, data):
    if event == "open":
        connection.send(f"{flask.request.script_root} {flask.url_for('page')}")


@front.get("/page")
def page():
    return f"{flask.request.script_root} {flask.url_for('page')}"


site = wrap(front)


def takes_its_socket(environ, start_response):
    """Take an upgrade's socket as simple-websocket does, answer it, and never call
    `start_response`.
    """
    sock = (
        environ["gunicorn.socket"]
        if "gunicorn.socket" in environ
        else environ["wsgi.input"].raw._sock
    )
    sock.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
        b"Upgrade\r\n\r\n\x81\x02hi"
    )
    sock.recv(100)
    sock.sendall(b"\x88\x00")
    return []


beside = App(takes_its_socket, router=router)
