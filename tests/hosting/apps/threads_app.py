"""Callbacks that block, compute and tell where they run, in a process that isn't patched."""

from __future__ import annotations

import os
import threading
import time
from contextvars import ContextVar
from typing import Any

from gevent import monkey

from tina4_wsgi import App, ConnectionClosed, Router

router = Router()
gates: dict[str, threading.Event] = {}
seen: ContextVar[str] = ContextVar("seen", default="nothing")
at_once: dict[str, int] = {}
most_at_once: dict[str, int] = {}


def gate(name: str) -> threading.Event:
    return gates.setdefault(name, threading.Event())


@router.websocket("/ws/echo")
def echo(connection: Any, event: str, data: str) -> None:
    if event == "message":
        connection.send(data)


@router.websocket("/ws/where")
def where(connection: Any, event: str, data: str) -> None:
    if event == "message":
        connection.send_json(
            {
                "thread": threading.current_thread().name,
                "is_patched": monkey.is_module_patched("socket"),
                "pid": os.getpid(),
                "seen": seen.get(),
            }
        )
        seen.set(data)


@router.websocket("/ws/gate/{name}", ping_interval_s=0.2, pong_timeout_s=30.0)
def behind_a_gate(connection: Any, event: str, data: str) -> None:
    name = connection.params.name
    if event == "message":
        gate(name).wait(60.0)
        connection.send(f"{data} passed")


LOUD = {
    "ping_interval_s": 0,
    "send_timeout_s": 60,
    "max_inbound_bytes": 8 << 20,
    "max_inbound_messages": 1_000,
    "max_outbound_bytes": 1 << 18,
}


@router.websocket("/ws/loud/{name}", **LOUD)
@router.websocket("/ws/rechecked/{name}", auth=lambda request: "ada", reauth_every=3_600, **LOUD)
def loud(connection: Any, event: str, data: str) -> None:
    if event == "message":
        gate(connection.params.name).wait(60.0)
        connection.broadcast(data)


@router.websocket("/ws/order/{name}")
def in_order(connection: Any, event: str, data: str) -> None:
    name = connection.params.name
    if event == "message":
        at_once[name] = at_once.get(name, 0) + 1
        most_at_once[name] = max(at_once[name], most_at_once.get(name, 0))
        time.sleep(0.001)
        connection.send(data)
        connection.broadcast(f"all {data}")
        at_once[name] -= 1


@router.websocket("/ws/rooms/{room}")
def rooms(connection: Any, event: str, data: str) -> None:
    room = connection.params.room
    if event == "open":
        connection.join(room)
        connection.send(",".join(connection.rooms))
    if event == "message" and data == "members":
        connection.send(str(len(connection.members())))
    elif event == "message" and data == "closed":
        connection.close(4000, "as you like")
        try:
            connection.send("too late")
        except ConnectionClosed as exc:
            closed.append(exc.code)
    elif event == "message":
        connection.broadcast_to_room(room, data, exclude_self=True)


closed: list[int] = []


@router.get("/open/{name}")
def open_gate(request: Any, response: Any) -> str:
    gate(request.params.name).set()
    return "open"


@router.get("/say/{text}")
def say(request: Any, response: Any) -> str:
    app.broadcast("/ws/echo", request.params.text)
    return "said"


@router.get("/facts")
def facts(request: Any, response: Any) -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "echo": app.count("/ws/echo"),
        "most_at_once": most_at_once,
        "closed": closed,
        "threads": threading.active_count(),
    }


app = App(router=router)
