"""The application that hostile clients meet: echoes under different limits, and a log whose levels
can be read.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from threading import Event

import probe

from tina4_wsgi import App, Router

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")

LARGE_ANSWER = bytes(60_000)
LARGE_ANSWER_COUNT = 500  # 30 MB: more than the kernel's buffers and half of what may wait
PATIENT = {
    "ping_interval_s": 0,
    "send_timeout_s": 60,
}  # floods are ended by nothing but their own limits

router = Router()
alarms = defaultdict(Event)
filled = defaultdict(Event)
FILLED_S = 10.0


def echo(connection, event, data):
    if event == "message":
        connection.send(data)


router.websocket("/ws/echo/{tag}", echo, subprotocols=("chat", "superchat"))
router.websocket("/ws/small/{tag}", echo, max_message_bytes=125)
router.websocket("/ws/fragments/{tag}", echo, max_fragments=100_000)
router.websocket("/ws/deflate/{tag}", echo, deflate=True)
router.websocket("/ws/pinged/{tag}", echo, **PATIENT)
router.websocket("/ws/members/{tag}", echo, auth=lambda request: None)


@router.websocket("/ws/closing/{tag}")
def closing(connection, event, data):
    """Close as the client says: [code, reason]."""
    if event == "message":
        connection.close(*json.loads(data))
        connection.broadcast("too late for the one who leaves")


@router.websocket("/ws/napping/{tag}", **PATIENT)
def napping(connection, event, data):
    """Be slower than any client, until somebody wakes the napping of this name."""
    if event == "message":
        alarms[connection.params.tag].wait()


@router.post("/wake/{tag}")
def wake(request, response):
    alarms[request.params.tag].set()
    return "awake"


@router.websocket("/ws/generous/{tag}", **PATIENT)
def generous(connection, event, data):
    """Answer a byte with many."""
    if event == "message":
        connection.send(LARGE_ANSWER)


@router.websocket(
    "/ws/full/{tag}", max_outbound_bytes=LARGE_ANSWER_COUNT * len(LARGE_ANSWER), **PATIENT
)
def full(connection, event, data):
    """Begin with just so much that nothing blocks, and listen quickly."""
    if event == "open":
        for _ in range(LARGE_ANSWER_COUNT):
            connection.send(LARGE_ANSWER)
        filled[connection.params.tag].set()


@router.get("/filled/{tag}")
def wait_until_filled(request, response):
    """Answer when the "open" of `full` is over."""
    return str(filled[request.params.tag].wait(FILLED_S))


app = App(router=router)
probe.install(router, lambda: app)
