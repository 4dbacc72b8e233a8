"""Warns once of each path that is broadcast to and that no route has, during development."""

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
"""Paths that are remembered; beyond it nothing is looked up, since a path may come from a client.
"""


class LostBroadcasts:
    """Notices broadcasts that can reach nobody.

    Args:
        routes: gives all routes of the app.
        has_route: whether a WebSocket route has a path.

    Greenlets and threads: any.
    """

    def __init__(
        self, routes: Callable[[], Iterable[Route]], has_route: Callable[[str], bool]
    ) -> None:
        self._routes = routes
        self._has_route = has_route
        self._seen: set[str] = set()

    def look(self, path: str) -> None:
        """Look at the path of one broadcast."""
        if path in self._seen or len(self._seen) >= _MOST_PATHS:
            return
        self._seen.add(path)
        # Groups whose host counts belong to a framework's own hosts, which are not looked up here.
        if not path.startswith("//") and not self._is_known(path):
            # The hub may be here, with what another process broadcast, and must not log.
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
