"""Callbacks and views that hold the loop: they compute, or wait in a way that gevent can't see."""

from __future__ import annotations

from gevent.monkey import get_original

from tina4_wsgi import App, Router

router = Router()
wait = get_original("time", "sleep")


def hold_the_loop(seconds):
    wait(float(seconds))


@router.websocket("/ws/hold/{name}")
def hold(connection, event, data):
    if event == "message":
        hold_the_loop(data)
        connection.send(f"{connection.id} is done")


@router.get("/hold/{seconds}")
def view(request, response):
    hold_the_loop(request.params.seconds)
    return "done"


@router.get("/")
def index(request, response):
    return "here"


app = App(router=router)
