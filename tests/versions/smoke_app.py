"""The app that every Python version serves: one page, one WebSocket."""

from __future__ import annotations

from tina4_wsgi import App, Router

router = Router()


@router.get("/hello/{name}")
def hello(request, response):
    return response.text(f"Hello, {request.params.name}")


@router.websocket("/ws/echo/{room}")
def echo(connection, event, data):
    if event == "message":
        connection.send(f"{connection.params.room}: {data}")


app = App(router=router)
