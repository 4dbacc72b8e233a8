"""Forks a serving process, with and without open connections, and prints what either side can do
then.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
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


CONNECTIONS, CALLED = [], []


@router.websocket("/ws/echo")
def echo(connection, event, data):
    if event == "open":
        CONNECTIONS.append(connection)
    if event == "message":
        CALLED.append(data)
        while connection.state.get("wait"):
            connection.state["waits"] = True
            gevent.sleep(0.005)
        if "waits" not in connection.state:
            connection.broadcast(data)


def outcome_in_child(action, sleep=gevent.sleep):
    """Run `action` in a forked child and give what came of it, in a word.

    Args:
        sleep: lets this process go on serving.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # A serving process has a thread that watches the loop, and Python warns of any fork beside
        # one.
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
    give_up_at = time.monotonic() + 10
    while not os.waitpid(pid, os.WNOHANG)[0]:
        sleep(0.005)
        if time.monotonic() > give_up_at:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            give_up_at += 10
    with os.fdopen(reading) as answer:
        return answer.read()


REFUSED = {
    "send": lambda connection: connection.send("no"),
    "send_json": lambda connection: connection.send_json(["no"]),
    "join": lambda connection: connection.join("room"),
    "leave": lambda connection: connection.leave("room"),
    "close": lambda connection: connection.close(),
    "members": lambda connection: connection.members(),
    "refresh_auth": lambda connection: connection.refresh_auth(),
    "broadcast to all but itself": lambda connection: connection.broadcast("no", exclude_self=True),
    "to a room but itself": lambda connection: connection.broadcast_to_room(
        "room", "no", exclude_self=True
    ),
}
ALONE = {
    "broadcast": lambda connection: connection.broadcast("no"),
    "broadcast_to": lambda connection: connection.broadcast_to("/ws/echo", "no"),
    "broadcast_to_room": lambda connection: connection.broadcast_to_room("room", "no"),
}


def raised_in_thread(action, connection):
    """Do it in a native thread of its own, and raise what it raises."""
    raised = []

    def run():
        try:
            action(connection)
        except Exception as exc:  # noqa: BLE001  # raised again
            raised.append(exc)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(5)
    if thread.is_alive():
        raise TimeoutError("it hangs")
    for error in raised:
        raise error


def callback_in_child(client):
    """Fork while a client's message waits for its callback, and give who has run it."""
    client.sendall(HELLO)
    CALLED.clear()
    connection = CONNECTIONS[0]
    connection.state["wait"] = True
    with gevent.Timeout(5):
        while not connection.state.get("waits"):
            gevent.sleep(0.005)
    client.sendall(HELLO)
    with gevent.Timeout(5):
        while not connection._lifecycle.waiting_count > 1:
            gevent.sleep(0.005)

    def go_on():
        connection.state["wait"] = False
        gevent.sleep(0.1)
        if len(CALLED) > 1:
            raise RuntimeError("the child ran a callback of a message that came to its parent")

    outcome = outcome_in_child(go_on)
    connection.state["wait"] = False
    with gevent.Timeout(5):
        while connection._lifecycle.waiting_count:
            gevent.sleep(0.005)
    return outcome


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
        "in a grandchild": lambda: outcome_in_child(
            lambda: app.broadcast("/ws/echo", "in a grandchild")
        ),
        "in a thread": lambda: in_thread(lambda: app.broadcast("/ws/echo", "in a thread")),
    }.items():
        found[name] = outcome_in_child(action)
        found[f"{name}, heard"] = client.recv(100)[2:].decode()
    for name, action in REFUSED.items():
        found[name] = outcome_in_child(
            lambda action=action: (action(CONNECTIONS[0]), gevent.sleep(0))
        )
        found[f"{name}, in a thread"] = outcome_in_child(
            lambda action=action: raised_in_thread(action, CONNECTIONS[0])
        )
    found["disconnecting"] = outcome_in_child(lambda: app.disconnect(path="/ws/echo"))
    found["asking who is there"] = outcome_in_child(lambda: app.members("/ws/echo"))
    found["forked in a thread"] = gevent.get_hub().threadpool.apply(
        outcome_in_child, (lambda: CONNECTIONS[0].send("no"), time.sleep)
    )
    found["a callback that was due"] = callback_in_child(client)
    found["counting"] = outcome_in_child(lambda: app.count("/ws/echo"))
    found["serving"] = outcome_in_child(lambda: app._here().engine())
    server_alone = Server(alone, port=0)
    server_alone.start()
    client_alone = connect(server_alone.port)
    found["alone"] = outcome_in_child(lambda: alone.broadcast("/ws/echo", "x"))
    for name in ("broadcast", "broadcast_to", "broadcast_to_room"):
        action = ALONE[name]
        found[f"alone, {name}"] = outcome_in_child(lambda action=action: action(CONNECTIONS[-1]))
    client_alone.close()
    server_alone.stop(1)
    CONNECTIONS[0].state.clear()
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
