"""Forks a serving process, with and without open connections, and prints what either side can do then."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import warnings

import gevent
from gevent import socket as gevent_socket

from tina4_wsgi import App, ForkError, Router
from tina4_wsgi.server.server import Server

HANDSHAKE = (
    b"GET /ws/echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
HELLO = b"\x81\x82\0\0\0\0hi"

router = Router()


CONNECTIONS = []


@router.websocket("/ws/echo")
def echo(connection, event, data):
    if event == "open":
        CONNECTIONS.append(connection)
    if event == "message":
        connection.broadcast(data)


def outcome_in_child(action):
    """Run `action` in a forked child and give what came of it, in a word."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # A serving process has a thread that watches the loop, and Python warns of any fork beside one.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            action()
            outcome = "done"
        except ForkError as exc:
            outcome = f"ForkError: {exc}"
        except Exception as exc:  # noqa: BLE001  # told to the parent
            outcome = repr(exc)
        os.write(writing, outcome.encode())
        os._exit(0)
    os.close(writing)
    with gevent.Timeout(10):
        while not os.waitpid(pid, os.WNOHANG)[0]:
            gevent.sleep(0.005)  # this process goes on serving
    with os.fdopen(reading) as answer:
        return answer.read()


def in_thread(action):
    thread = threading.Thread(target=action)
    thread.start()
    thread.join()


def connect(port):
    """Open a WebSocket from a greenlet of this process."""
    client = gevent_socket.create_connection(("127.0.0.1", port))
    client.settimeout(5)
    client.sendall(HANDSHAKE)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += client.recv(1)
    return client


def main():
    app, alone = App(router=router), App(router=router, backplane="none")

    def broadcast():
        app.broadcast("/ws/echo", "from the child")

    server = Server(app, port=0)
    server.start()
    found = {"before": outcome_in_child(broadcast)}
    client = connect(server.port)
    for name, action in {
        "during": broadcast,
        "by connection": lambda: CONNECTIONS[0].broadcast("by connection"),
        "in a grandchild": lambda: outcome_in_child(lambda: app.broadcast("/ws/echo", "in a grandchild")),
        "in a thread": lambda: in_thread(lambda: app.broadcast("/ws/echo", "in a thread")),
    }.items():
        found[name] = outcome_in_child(action)
        found[f"{name}, heard"] = client.recv(100)[2:].decode()
    found["sent by the child"] = outcome_in_child(lambda: (CONNECTIONS[0].send("no"), gevent.sleep(0)))
    found["counting"] = outcome_in_child(lambda: app.count("/ws/echo"))
    found["serving"] = outcome_in_child(lambda: app._here().engine())
    server_alone = Server(alone, port=0)
    server_alone.start()
    client_alone = connect(server_alone.port)
    found["alone"] = outcome_in_child(lambda: alone.broadcast("/ws/echo", "x"))
    client_alone.close()
    server_alone.stop(1)
    client.sendall(HELLO)
    found["parent"] = client.recv(100).decode("latin-1")
    client.shutdown(socket.SHUT_WR)
    with gevent.Timeout(5):
        while app.count("/ws/echo"):
            gevent.sleep(0.01)
    found["after"] = outcome_in_child(broadcast)
    client.close()
    server.stop(1)
    json.dump(found, sys.stdout)


main()
