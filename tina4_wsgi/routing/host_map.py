"""Finds the pattern that a name with a host belongs to, as in "//acme.shop.example/ws/board".

Frameworks may have routes for some hosts only; processes that publish without the app know them by
their patterns alone.
"""

from __future__ import annotations

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule

from .spelling import RuleSpelling


class HostMap:
    """Patterns such as "//<tenant>.shop.example/ws/board", as Werkzeug spells them."""

    def __init__(self) -> None:
        self._map = Map(
            host_matching=True, strict_slashes=False, merge_slashes=False, redirect_defaults=False
        )
        self._spellings: dict[str, RuleSpelling] = {}

    def add(self, pattern: str) -> None:
        """Add a pattern.

        Raises:
            LookupError: it has a converter of the framework's own.
            ValueError: it is malformed.
        """
        host, path = _split(pattern)
        rule = Rule(path, host=host, endpoint=pattern, websocket=True)
        self._map.add(rule)
        self._spellings[pattern] = RuleSpelling(rule)

    def match(self, name: str) -> str | None:
        """Return the pattern of a name; None for none.

        Raises:
            Refused: 404, it is spelled in another way than the pattern writes it.
        """
        host, path = _split(name)
        adapter = self._map.bind(host)
        try:
            pattern, values = adapter.match(path, "GET", websocket=True)
        except (HTTPException, ValueError):  # ValueError: of more digits than Python reads
            return None
        self._spellings[pattern].check(
            path, values, lambda spelled: adapter.match(spelled, "GET", websocket=True)[1]
        )
        return str(pattern)


def _split(name: str) -> tuple[str, str]:
    host, _, path = name[2:].partition("/")
    return host, f"/{path}"
