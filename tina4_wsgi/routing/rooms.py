"""Named rooms that keep history: declared by a pattern, so that every process knows of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ..errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

OPTIONS = frozenset({"history", "history_s", "replay"})
"""The settings that rooms have."""

_PARAMETER = re.compile(r"\{([^{}]*)\}")


class RoomPattern(NamedTuple):
    """Rooms that were declared.

    Attributes:
        pattern: as written, as "orders:{id}".
        fits: matches the name of a room as a whole.
        options: settings of these rooms.
    """

    pattern: str
    fits: re.Pattern[str]
    options: Mapping[str, object]


class Rooms:
    """The rooms of one router that keep history.

    Attributes:
        declared: in the order of their declaration; the tuple itself never changes.
    """

    def __init__(self) -> None:
        self.declared: tuple[RoomPattern, ...] = ()

    def declare(self, pattern: str, options: Mapping[str, object]) -> None:
        """Have rooms keep history.

        Raises:
            UsageError: the pattern isn't well formed, or was declared before.
        """
        fits = compiled(pattern)
        if any(room.pattern == pattern for room in self.declared):
            raise UsageError(f"room {pattern!r} is declared already, expected each pattern once")
        self.declared += (RoomPattern(pattern, fits, dict(options)),)

    def match(self, name: str) -> RoomPattern | None:
        """Return the first pattern that fits the name of a room."""
        for room in self.declared:
            if room.fits.fullmatch(name):
                return room
        return None


def compiled(pattern: str) -> re.Pattern[str]:
    """Compile the pattern of rooms.

    A parameter stands for one character or more, none of which is the one that follows it in the
    pattern: so a name that a client makes up is matched in linear time.

    Raises:
        UsageError: it isn't well formed.
    """
    if not isinstance(pattern, str) or not pattern:
        raise UsageError(f'room {pattern!r}, expected a name or a pattern, as "orders:{{id}}"')

    # Texts and names of parameters, in turns.
    pieces = _PARAMETER.split(pattern)
    texts, names = pieces[::2], pieces[1::2]
    if any("{" in text or "}" in text for text in texts):
        raise UsageError(f'brackets in room {pattern!r} don\'t pair up, write as "orders:{{id}}"')
    for name in names:
        if not name.isidentifier():
            raise UsageError(
                f"parameter {{{name}}} of room {pattern!r} has no proper name, expected as {{id}}"
            )
    if "" in texts[1:-1]:
        raise UsageError(f"room {pattern!r} has two parameters with nothing between them")

    spelled = re.escape(texts[0])
    for text in texts[1:]:
        spelled += (f"[^{re.escape(text[0])}]+" if text else "(?s:.+)") + re.escape(text)
    return re.compile(spelled)
