"""A route whose clients could get into each other's way: by what a callback leaves behind, and by
what it raises.
"""

from __future__ import annotations

import argparse
import contextvars
import os
import sys
import threading

import gevent
import gevent.local
from gevent import getcurrent

from tina4_wsgi import Router

router = Router()

thread_local = threading.local()
greenlet_local = gevent.local.local()
variable = contextvars.ContextVar("user", default=None)


class Visit(threading.local):
    """A thread-local of a class of its own, as libraries have them."""

    user = None


visit = Visit()


@router.websocket("/ws/neighbours/{name}")
def neighbours(connection, event, data):
    if event != "message":
        return
    action, _, what = data.partition(":")
    if action == "leave":
        leave(connection.params.name, what)
        connection.send("left")
    elif action == "look":
        connection.send(repr(look(what)))
    elif action == "raise":
        RAISERS[what]()
    else:
        connection.send(str(os.getpid()))


def leave(name, what):
    if what == "context variable":
        variable.set(name)
    elif what == "thread-local":
        thread_local.user = name
    elif what == "greenlet-local":
        greenlet_local.user = name
    elif what == "local of a class":
        visit.user = name
    elif what == "greenlet":
        getcurrent().user = name
    elif what == "thread":
        threading.current_thread().user = name
    elif what == "thread's name":
        threading.current_thread().name = name


def look(what):
    if what == "context variable":
        return variable.get()
    holder = {
        "thread-local": thread_local,
        "greenlet-local": greenlet_local,
        "local of a class": visit,
        "greenlet": getcurrent(),
        "thread": threading.current_thread(),
    }.get(what)
    if holder is None:
        return "ada" if threading.current_thread().name == "ada" else None
    return getattr(holder, "user", None)


def interrupt():
    raise KeyboardInterrupt


def time_out():
    raise gevent.Timeout(1)


RAISERS = {
    "argparse": lambda: argparse.ArgumentParser().parse_args(["--unknown"]),
    "sys.exit": lambda: sys.exit(3),
    "keyboard": interrupt,
    "timeout": time_out,
    "killed": lambda: getcurrent().throw(gevent.GreenletExit),
}
