"""Which paths and rooms keep history, and how much."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import Refused, UsageError
from ..journal.contract import Declared, KeptLimits
from ..routing.names import GroupKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..config import Config
    from ..journal.contract import Topic
    from ..routing.matching import Route
    from ..routing.rooms import RoomPattern, Rooms

_MOST_NAMES = 10_000
"""How many names are remembered: clients may choose them."""


_NOTHING = KeptLimits(0, 0.0)


class Histories:
    """The histories that one app keeps.

    Args:
        config: the settings of the app.
        routes: returns all routes.
        route_of: returns the WebSocket route of a path, None if there is none.
        rooms: the rooms that were declared.
        look: called before anything is looked up; finds out about routes that nobody tells of, and
            calls `forget` then. None where all are told of.

    Greenlets and threads: any.
    """

    def __init__(
        self,
        config: Config,
        routes: Callable[[], Iterable[Route]],
        route_of: Callable[[str], Route | None],
        rooms: Rooms,
        look: Callable[[], None] | None = None,
    ) -> None:
        self._config = config
        self._routes = routes
        self._route_of = route_of
        self._rooms = rooms
        self._look = look
        self._known: dict[Topic, KeptLimits | None] = {}

    @property
    def has_rooms(self) -> bool:
        """Whether rooms were declared that keep history."""
        return bool(self._rooms.declared)

    @property
    def replays_rooms(self) -> bool:
        """Whether rooms were declared in which a newcomer gets the latest messages."""
        return any(room.options.get("replay") for room in self._rooms.declared)

    def is_any(self) -> bool:
        """Return whether anything keeps history."""
        return self.has_rooms or any(
            limits_of(self._config.for_route(route.options))
            for route in self._routes()
            if route.kind == "websocket"
        )

    def of(self, topic: Topic) -> KeptLimits | None:
        """Return how much is kept of a path or a room; None for nothing."""
        if self._look is not None:
            self._look()
        known = self._known
        try:
            return known[topic]
        except KeyError:
            pass
        if len(known) >= _MOST_NAMES:
            known.clear()
        found = known[topic] = self._look_up(topic)
        return found

    def forget(self) -> None:
        """Look everything up anew: a route was added."""
        # A new one: another thread may be about to note in the old one what it found before.
        self._known = {}

    def declarations(self) -> list[Declared]:
        """Return what processes that publish without the app must know."""
        # Those that keep nothing, too: they may take paths away from a pattern that keeps some.
        found = [
            Declared(GroupKind.PATH, route.path, limits or _NOTHING)
            for route in self._routes()
            if route.kind == "websocket"
            for limits in (limits_of(self._config.for_route(route.options)),)
        ]
        return [
            *found,
            *(
                Declared(GroupKind.ROOM, room.pattern, self._limits_of_room(room))
                for room in self._rooms.declared
            ),
        ]

    def _look_up(self, topic: Topic) -> KeptLimits | None:
        kind, name = topic
        if kind == GroupKind.ROOM:
            room = self._rooms.match(name)
            return None if room is None else self._limits_of_room(room)
        try:
            route = self._route_of(name)
        except Refused:
            return None
        return None if route is None else limits_of(self._config.for_route(route.options))

    def _limits_of_room(self, room: RoomPattern) -> KeptLimits:
        settings = self._config.for_route({"on_slow": "close", "replay": 0, **room.options})
        return KeptLimits(settings.history, settings.history_s, settings.replay)


def keeps_nothing(topic: Topic) -> UsageError:
    """Return the error for a path, or a room, of which nothing is kept."""
    kind, name = topic
    if kind == GroupKind.ROOM:
        return UsageError(f"room {name!r} keeps no history, expected one that fits a Router.room")
    return UsageError(f"{name!r} keeps no history, expected one of a route with history=")


def limits_of(config: Config) -> KeptLimits | None:
    """Return how much a route with these settings keeps; None for nothing."""
    if not config.history:
        return None
    return KeptLimits(config.history, config.history_s, config.replay)
