"""Warns during development, once per path, of broadcasts to a path that no route has."""

from __future__ import annotations

import difflib
import logging
from typing import TYPE_CHECKING

import gevent

from ..errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..routing.matching import Route

logger = logging.getLogger("tina4_wsgi.lost")

_MOST_PATHS = 1_000
"""How many paths are remembered. Further paths are not looked up: a path may come from a client, so
their number has no other bound.
"""


class LostBroadcasts:
    """Notices broadcasts that can reach no client.

    Args:
        routes: returns all routes of the app.
        has_route: returns whether a WebSocket route has a path.

    Greenlets and threads: any.
    """

    def __init__(
        self, routes: Callable[[], Iterable[Route]], has_route: Callable[[str], bool]
    ) -> None:
        self._routes = routes
        self._has_route = has_route
        self._seen: set[str] = set()

    def look(self, path: str) -> None:
        """Check the path of one broadcast, and warn if no route has it."""
        if path in self._seen or len(self._seen) >= _MOST_PATHS:
            return
        self._seen.add(path)

        # A name that begins with "//" holds a host: the group belongs to one of a framework's own
        # hosts, whose routes are not looked up here.
        if not path.startswith("//") and not self._is_known(path):
            # This may run in the hub, for a broadcast of another process, and the hub must not log.
            gevent.spawn(
                logger.warning,
                "a broadcast to %r reaches nobody, since no WebSocket route has this path%s",
                path,
                self._hint(path),
            )

    def _is_known(self, path: str) -> bool:
        try:
            return self._has_route(path)
        except Refused:
            return False

    def _hint(self, path: str) -> str:
        known = {route.path for route in self._routes() if route.kind == "websocket"}
        near = difflib.get_close_matches(path, sorted(known), n=1, cutoff=0.5)
        return f"; did you mean {near[0]!r}?" if near else ""
