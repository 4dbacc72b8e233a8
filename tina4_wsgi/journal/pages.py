"""Pages of what was said before, read and laid out once for all who come back at the same time.

Behind a deploy thousands come back to one path, most of them from the same few positions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..protocol.marks import kept_mark, marked
from .contract import Kept

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_FRESH_S = 1.0
"""How long a page is used: what is in it grows too old meanwhile, and for one who comes alone it
takes room in vain.
"""

_MOST_BYTES = 1 << 20


class Page(list[Kept]):
    """Messages of one path or room, oldest first."""

    __slots__ = ("_is_for_all", "_joined")

    _is_for_all: bool
    _joined: dict[bool, bytes]

    @property
    def is_for_all(self) -> bool:
        """Whether no client is excluded from one of them."""
        try:
            return self._is_for_all
        except AttributeError:
            self._is_for_all = not any(one.author for one in self)
            return self._is_for_all

    def joined(self, *, is_marked: bool) -> bytes:
        """Return the frames of all, side by side, with marks or without."""
        try:
            return self._joined[is_marked]
        except AttributeError:
            self._joined = {}
        except KeyError:
            pass
        frames = [one.frame for one in self]
        if is_marked:
            frames = [marked(one.frame, kept_mark(one.number)) for one in self]
        found = self._joined[is_marked] = b"".join(frames)
        return found


class Pages:
    """Pages that were read a moment ago.

    Greenlets: the hub's thread.
    """

    def __init__(self) -> None:
        self._pages: dict[Hashable, Page | None] = {}
        self._state: object = None
        self._until_s = 0.0
        self._bytes = 0

    def read(
        self,
        key: Hashable,
        state: object,
        now_s: float,
        ask: Callable[[], list[Kept] | None],
    ) -> Page | None:
        """Return a page, by `ask` unless it was read a moment ago.

        Args:
            key: which one.
            state: of the journal; in another one all pages are read anew.
            now_s: on the monotonic clock.
        """
        if state != self._state or now_s >= self._until_s or self._bytes > _MOST_BYTES:
            self.clear()
            self._state, self._until_s = state, now_s + _FRESH_S
        try:
            return self._pages[key]
        except KeyError:
            pass
        found = ask()
        page = self._pages[key] = None if found is None else Page(found)
        self._bytes += 100 + sum(len(one.frame) for one in page or ())
        return page

    def clear(self) -> None:
        """Forget all pages."""
        self._pages.clear()
        self._bytes = 0
