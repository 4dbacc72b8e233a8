"""An app whose callbacks block, and that tells what its process holds."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from tina4_wsgi import App, Router

router = Router()
release = threading.Event()


@router.websocket("/ws/echo")
def echo(connection, event, data):
    if event == "message":
        connection.send(data)
    if event == "close":
        print(f"closed with {connection.close_code}", flush=True)


@router.websocket("/ws/blocking")
def blocking(connection, event, data):
    if event == "open":
        release.wait()
        connection.send("released")


@router.websocket("/ws/room/{name}")
def room(connection, event, data):
    if event == "message":
        connection.broadcast(data)


@router.get("/release")
def let_go(request, response):
    release.set()
    return "released"


@router.get("/descriptors")
def descriptors(request, response):
    return str(len(os.listdir("/proc/self/fd")))


app = App(router=router, root=Path(__file__).parent)


def old(environ, start_response):
    """Be an app that gevent-websocket serves below /old."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"a page"]


handing_over = App(old, router=Router(), root=Path(__file__).parent, gevent_websocket_paths="/old")
