"""What PyInstaller packs: serves for as long as it takes to ask itself for everything, and prints
the answers.
"""

from gevent import monkey

monkey.patch_all()

import http.client  # noqa: E402
import socket  # noqa: E402
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402

from tina4_wsgi import App, Router  # noqa: E402
from tina4_wsgi.cli.init import make_project  # noqa: E402
from tina4_wsgi.server.server import Server  # noqa: E402

HANDSHAKE = (
    b"GET /ws/echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PATHS = (
    "/hello",
    "/__tina4/tina4-ws.js",
    "/__tina4/tina4-ws.mjs",
    "/__tina4/live",
    "/__tina4/live/table.js",
    "/metrics",
    "/nothing",
)

router = Router()


@router.get("/hello")
def hello(request, response):
    return {"hello": "you"}


@router.websocket("/ws/echo")
def echo(connection, event, data):
    if event == "message":
        connection.send(data)


def ask(port, path):
    asker = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        asker.request("GET", path)
        return asker.getresponse().status
    finally:
        asker.close()


def echoed(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(HANDSHAKE)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        client.sendall(b"\x81\x82\x01\x01\x01\x01ih")  # "hi", masked
        return client.recv(100)[2:].decode()


app = App(router=router, live=lambda request: "ada", metrics="/metrics")
server = Server(app, port=0)
server.start()
for path in PATHS:
    print("GET", path, ask(server.port, path))
print("echo:", echoed(server.port))
print("files of a new project:", len(make_project(Path(tempfile.mkdtemp()))) > 5)
server.stop(1)
