"""One audience and four kinds of sources that broadcast to it, all at once."""

from __future__ import annotations

import gevent
from gevent.monkey import get_original

import tina4_wsgi
from tina4_wsgi import Router

router = Router()

LARGE_EVERY = 400
LARGE_BYTES = 70_000
MOST_WAITING_BYTES = 64 << 20  # the order of frames is tried here, not the limit on slow readers


@router.websocket("/ws/audience/{name}", max_outbound_bytes=MOST_WAITING_BYTES)
def audience(connection, event, data):
    """Broadcast by the callback itself: "SOURCE COUNT"."""
    if event == "message":
        source, count = data.split()
        for number in range(int(count)):
            connection.broadcast(text_of(source, number))
            if number % 50 == 49:
                gevent.sleep(0)  # lets the other sources in between


@router.post("/sources/request/{name}/{source}/{first:int}/{count:int}")
def from_a_request(request, response):
    """Broadcast from an HTTP handler."""
    params = request.params
    broadcast_range(params.name, params.source, params.first, params.count)
    return "done"


@router.post("/sources/threads/{name}/{source}/{count:int}")
def from_threads(request, response):
    """Broadcast from a native thread, and from a thread of gevent's pool."""
    params = request.params
    start_native_thread = get_original("_thread", "start_new_thread")
    start_native_thread(broadcast_range, (params.name, f"{params.source}-native", 0, params.count))
    gevent.get_hub().threadpool.spawn(
        broadcast_range, params.name, f"{params.source}-pool", 0, params.count
    )
    return "started"


def broadcast_range(name, source, first, count):
    """Broadcast the messages `first` to `first + count - 1` of a source."""
    for number in range(first, first + count):
        tina4_wsgi.broadcast(f"/ws/audience/{name}", text_of(source, number))


def text_of(source, number):
    """Give a message whose every byte its receiver can foretell."""
    length = LARGE_BYTES if number % LARGE_EVERY == LARGE_EVERY - 1 else number % 300
    return f"{source} {number} " + chr(97 + number % 26) * length
