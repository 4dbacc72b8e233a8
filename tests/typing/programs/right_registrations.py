"""Every way to register a callback: on the class, a router and a group; as a decorator and by a
call.
"""

# pyright: strict

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from typing_extensions import assert_type

from tina4_wsgi import Connection, Event, Router

router = Router()


def log(level: int, connection: Connection, event: Event, data: str | bytes) -> None:
    print(level, connection.id, event, len(data))


class Board:
    def on_event(self, connection: Connection, event: str, data: str | bytes) -> int:
        return len(data)

    def __call__(self, connection: Connection, event: object, data: object, times: int = 1) -> None:
        connection.send(f"{event} {times}")


@Router.websocket("/a")
@router.websocket("/a", subprotocols=["chat"])
@router.group("/group").websocket("/a")
@Router.group("/group").group("/inner").websocket("/a")
def decorated(connection: Connection, event: Event, data: str | bytes) -> bool:
    return connection.closed


kept: Callable[[Connection, Event, str | bytes], bool] = decorated

Router.websocket("/b", decorated)
router.websocket("/c", Board().on_event)
router.websocket("/d", Board(), max_message_bytes=1_024)
router.websocket("/e", partial(log, 10))
router.websocket("/f", lambda connection, event, data: connection.send(data))
router.websocket(
    "/g", lambda connection, event, data: connection.broadcast(data) if event == "message" else None
)
assert_type(router.match_websocket("/h") is None, bool)
assert_type(len(Router.routes) + len(router.routes), int)
Router.include(router, "/included")
