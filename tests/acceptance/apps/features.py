"""What a connection offers, on the wire: each command of the client is one method call."""

from __future__ import annotations

import json

import gevent
from gevent.monkey import get_original
from werkzeug.exceptions import Forbidden, TooManyRequests

from tina4_wsgi import Router

router = Router()


@router.websocket("/ws/about/{name}/{number:int}", subprotocols=("soap", "chat.v2"))
def about(connection, event, data):
    if event == "message":
        connection.send_json(describe(connection))


def describe(connection):
    """Give all that a connection says about itself."""
    return {
        "id": connection.id,
        "by_attribute": [connection.params.name, connection.params.number],
        "by_item": [connection.params["name"], connection.params["number"]],
        "path": connection.path,
        "query": connection.query.to_dict(flat=False),
        "header": connection.headers["x-colour"],
        "cookies": dict(connection.cookies),
        "ip": connection.ip,
        "subprotocol": connection.subprotocol,
        "auth": connection.auth,
        "connected_at": connection.connected_at.isoformat(),
        "closed": connection.closed,
        "close_code": connection.close_code,
    }


@router.websocket("/ws/commands/{place}")
def commands(connection, event, data):
    if event == "message":
        name, *arguments = json.loads(data)
        COMMANDS[name](connection, *arguments)
        connection.send("ok")


def remember(connection, name, value):
    connection.state[name] = value
    connection.send_json(connection.state)


def send_from_threads(connection, threads, count):
    start_native_thread = get_original("_thread", "start_new_thread")
    for thread in range(threads):
        start_native_thread(send_range, (connection, thread, count))


def send_range(connection, thread, count):
    for number in range(count):
        connection.send(f"{thread} {number}")


def send_from_greenlets(connection, greenlets, count):
    gevent.joinall(
        [gevent.spawn(send_range, connection, number, count) for number in range(greenlets)]
    )


COMMANDS = {
    "remember": remember,
    "send-from-threads": send_from_threads,
    "send-from-greenlets": send_from_greenlets,
    "send-bytes": lambda connection, text: connection.send(text.encode()),
    "join": lambda connection, room: connection.join(room),
    "leave": lambda connection, room: connection.leave(room),
    "tell": lambda connection, room, text: connection.broadcast_to_room(room, text),
    "tell-others": lambda connection, room, text: connection.broadcast_to_room(
        room, text, exclude_self=True
    ),
    "all": lambda connection, text: connection.broadcast(text),
    "others": lambda connection, text: connection.broadcast(text, exclude_self=True),
    "to": lambda connection, path, text: connection.broadcast_to(path, text),
}


def only_members(request):
    """Judge by the query."""
    verdict = request.query.get("token")
    if verdict == "forbidden":
        raise Forbidden("not you")
    if verdict == "too-often":
        return TooManyRequests("not so fast")
    return {"user": verdict} if verdict else None


def broken(request):
    raise RuntimeError("the database is away")


router.websocket("/ws/members/{name}/{number:int}", about, auth=only_members)
router.websocket("/ws/broken-auth/{name}/{number:int}", about, auth=broken)
router.websocket("/ws/listed/{name}", commands, allowed_origins=["https://partner.example"])
