"""Rooms that keep what was said, and pages that say where they are."""

from __future__ import annotations

import os

from tina4_wsgi import App, Router, broadcast, history, position

router = Router()
router.room("hall:{name}", history=1_000)


@router.websocket("/ws/kept/{room}", history=1_000)
def kept(connection, event, data):
    if event == "open":
        connection.send(f"open {connection.resumed}")
    if event == "message":
        connection.broadcast(data)
        connection.send(f"behind {data}")


@router.websocket("/ws/latest/{room}", history=5, replay=2)
def latest(connection, event, data):
    if event == "message":
        connection.broadcast(data)


@router.websocket("/ws/hall/{name}", history=10)
def hall(connection, event, data):
    if event == "open":
        connection.join(f"hall:{connection.params['name']}")
    if event == "message":
        connection.broadcast_to_room(f"hall:{connection.params['name']}", data)


@router.get("/page/{room}")
def page(request, response):
    return response.text(position(f"/ws/kept/{request.params['room']}"))


@router.get("/past/{room}")
def past(request, response):
    found = history(f"/ws/kept/{request.params['room']}")
    return response.json([message for _, message, _ in found])


@router.post("/say/{room}/{first:int}/{last:int}")
def say(request, response):
    room, first, last = request.params.values()
    for number in range(first, last + 1):
        broadcast(f"/ws/kept/{room}", str(number))
    return response.text(str(os.getpid()))


app = App(router=router)
