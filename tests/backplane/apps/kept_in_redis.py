"""Paths and rooms that keep history; what a client sends is a command."""

from __future__ import annotations

import os

import gevent

from tina4_wsgi import App, Router, forget, history, position
from tina4_wsgi.backplane.isolation import isolation

isolation.is_on = False
KEEPS = os.environ.get("KEPT_IN_REDIS", "yes")
"""Empty for a table of routes from before history."""

router = Router()
if KEEPS:
    router.room("room:{name}", history=1_000)


@router.websocket("/ws/kept/{name}", **({"history": 2_000} if KEEPS else {}))
def kept(connection, event, data):
    """Do what the first word of a message says."""
    if event == "open" and connection.query.get("room"):
        connection.join(f"room:{connection.query['room']}")
    if event == "message":
        name, _, rest = data.partition(" ")
        COMMANDS[name](connection, rest)


@router.websocket("/ws/latest/{name}", **({"history": 5, "replay": 2} if KEEPS else {}))
def latest(connection, event, data):
    if event == "message":
        connection.broadcast(data)


def say_and_answer(connection, rest):
    connection.broadcast(rest)
    connection.send(f"behind {rest}")


def say_and_add(connection, rest):
    connection.broadcast(rest)
    connection.broadcast(f"behind {rest}", keep=False)


def say_and_close(connection, rest):
    connection.broadcast(rest)
    connection.close()


def say_from_thread(connection, rest):
    """Say something, and send something behind it, from a thread without a hub."""
    gevent.get_hub().threadpool.apply(say_and_answer, (connection, rest))


def say_in_hub(connection, rest):
    """The same, where nothing may wait."""
    gevent.get_hub().loop.run_callback(say_and_answer, connection, rest)


COMMANDS = {
    "pid": lambda connection, rest: connection.send(f"pid {os.getpid()}"),
    "say": lambda connection, rest: connection.broadcast(rest),
    "others": lambda connection, rest: connection.broadcast(rest, exclude_self=True),
    "once": lambda connection, rest: connection.broadcast(rest, once=rest),
    "room": lambda connection, rest: connection.broadcast_to_room(*rest.split(" ", 1)),
    "answer": say_and_answer,
    "add": say_and_add,
    "close": say_and_close,
    "thread": say_from_thread,
    "hub": say_in_hub,
    "forget": lambda connection, rest: forget(connection.path),
}


@router.get("/past/{name}")
def past(request, response):
    found = history(f"/ws/kept/{request.params['name']}", most=1_000)
    return response.json([message for _, message, _ in found])


@router.get("/position/{name}")
def where(request, response):
    return response.json(position(f"/ws/kept/{request.params['name']}"))


@router.get("/state")
def state(request, response):
    return response.json({"pid": os.getpid(), "errors": [one.error for one in app._here().keepers]})


app = App(router=router)
