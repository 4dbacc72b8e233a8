"""Serves the hall from two hubs of one process: one in the main thread, one in a native thread,
unpatched.
"""

from __future__ import annotations

import threading

import gevent
from gevent import socket
from hall import app

from tina4_wsgi.server.server import Server


def serve(name: str) -> None:
    """Serve on a port of its own for ever, and tell which it is."""
    server = Server(app, port=0)
    server.start()
    print(f"{name} http://127.0.0.1:{server.port}", flush=True)
    server.serve_forever()


assert socket.socket is not __import__("socket").socket
threading.Thread(target=serve, args=("second",), daemon=True).start()
gevent.sleep(0.2)
serve("first")
