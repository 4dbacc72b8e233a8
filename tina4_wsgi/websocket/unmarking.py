"""Takes the marks off what a client says, before its callback sees it."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, cast

from ..protocol.frames import CloseCode
from .connection import lifecycle_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..routing.callbacks import Event
    from .connection import Connection
    from .returning import ReturningLifecycle
    from .served_route import ServedRoute

_MARKS = (":", b":")


def with_marks(service: ServedRoute) -> ServedRoute:
    """Return a route as it is served to clients that mark their messages; it counts with it."""
    twin = copy(service)
    twin.callback = _unmarked(service.callback)
    return twin


def _unmarked(callback: Callable[..., object]) -> Callable[..., object]:
    def call(connection: Connection, event: Event, data: str | bytes) -> object:
        if event != "message":
            return callback(connection, event, data)

        lifecycle = cast("ReturningLifecycle", lifecycle_of(connection))
        if not lifecycle.is_marking:
            # What a client says before it has read the greeting has no marks.
            if not lifecycle.is_mark(data):
                return callback(connection, event, data)
            lifecycle.is_marking = True
            lifecycle.await_mark(False)
            return None
        if data[:1] not in _MARKS:
            connection.close(CloseCode.POLICY_VIOLATION, "message without a mark")
            return None
        return callback(connection, event, data[1:])

    return call
