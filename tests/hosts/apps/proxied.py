"""Says what it sees of a client that comes through a proxy, by HTTP and by WebSocket."""

from __future__ import annotations

from pathlib import Path

from tina4_wsgi import App, Router, broadcast

router = Router()


@router.get("/about")
def about(request, response):
    return {"ip": request.ip, "scheme": request.scheme, "host": request.host}


@router.get("/away")
def away(request, response):
    return response.redirect("/about")


@router.post("/push/{room}")
def push(request, response):
    broadcast(f"/ws/{request.params.room}", request.body.decode())
    return "pushed"


@router.websocket("/ws/{room}")
def room(connection, event, data):
    if event == "message":
        connection.broadcast(f"{connection.ip} on {connection.path}: {data}")


app = App(router=router, root=Path(__file__).parent)
