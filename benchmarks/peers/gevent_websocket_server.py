"""gevent-websocket on gevent's pywsgi, as its documentation shows it."""

from gevent import monkey

monkey.patch_all()

from collections import defaultdict  # noqa: E402

from gevent.pywsgi import WSGIServer  # noqa: E402
from geventwebsocket import WebSocketError  # noqa: E402
from geventwebsocket.handler import WebSocketHandler  # noqa: E402

rooms = defaultdict(set)


def app(environ, start_response):
    """Serve one connection until it ends."""
    socket = environ["wsgi.websocket"]
    path = environ["PATH_INFO"]
    if path == "/ws/echo":
        for message in messages_of(socket):
            socket.send(message)
        return []
    members = rooms[path]
    members.add(socket)
    try:
        for message in messages_of(socket):
            for member in list(members):
                send(member, message)
    finally:
        members.discard(socket)
    return []


def messages_of(socket):
    """Give the messages of one connection."""
    try:
        while (message := socket.receive()) is not None:
            yield message
    except WebSocketError:
        pass


def send(socket, message):
    """Send to somebody who may have gone meanwhile."""
    try:
        socket.send(message)
    except WebSocketError:
        pass


server = WSGIServer(("127.0.0.1", 0), app, handler_class=WebSocketHandler, log=None, backlog=2048)
server.start()
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
