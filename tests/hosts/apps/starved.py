"""One WebSocket route, a page, and a page that waits for as many requests as it is told to."""

from __future__ import annotations

from pathlib import Path
from threading import Event  # gevent's, where its worker has patched this

from tina4_wsgi import App, Router

router = Router()
everybody = Event()
waiting = []


@router.get("/page")
def page(request, response):
    return "page"


@router.get("/meet/{count:int}")
def meet(request, response):
    """Answer nobody before `count` requests are here at the same time."""
    waiting.append(request)
    if len(waiting) == request.params.count:
        everybody.set()
    everybody.wait()
    return "met"


@router.get("/count")
def count(request, response):
    return str(app.count("/ws/open"))


@router.websocket("/ws/{name}")
def echo(connection, event, data):
    if event == "message":
        connection.send(data)


app = App(router=router, root=Path(__file__).parent)
