"""Callbacks and views that block, as those of any synchronous application do."""

from __future__ import annotations

import os
import time

from tina4_wsgi import App, Router

router = Router()


@router.websocket("/ws/calls")
def calls(connection, event, data):
    if event == "message":
        time.sleep(float(data.removeprefix("block ")))
        connection.send("blocked")


@router.get("/pid")
def pid(request, response):
    return str(os.getpid())


@router.get("/block")
def block(request, response):
    while True:
        time.sleep(1)


def legacy(environ, start_response):
    start_response("404 Not Found", [("Content-Length", "0")])
    return []


app = App(legacy, router=router, gevent_websocket_paths=["/old"])
