"""What comes while something before it is missing, as much as has room.

Free of gevent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..envelope import Envelope

Held = list[tuple[str, "Envelope"]]
"""Channels and envelopes, in the order in which they came."""


class Holding:
    """What is held, in two parts: before the point that is caught up to, and behind it.

    Attributes:
        has_lost: whether there was too much, and something is missing behind the point.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._before: Held = []
        self._held: Held = []
        self._bytes = 0
        self.has_lost = False

    def add(self, channel: str, envelope: Envelope) -> None:
        """Hold one more; where it is too much, let all go."""
        self._bytes += len(envelope.body)
        if self._bytes > self._most_bytes:
            self._held, self._bytes, self.has_lost = [], 0, True
        self._held.append((channel, envelope))

    def reach(self, *, is_needed: bool) -> None:
        """Note that the point has come: what came before it will be read.

        Args:
            is_needed: whether something of it will not be.
        """
        self._before, self._held, self._bytes = self._held, [], 0
        self.has_lost = self.has_lost and is_needed

    def take_before(self) -> Held:
        """Return what came before the point."""
        before, self._before = self._before, []
        return before

    def take(self) -> Held:
        """Return what came behind it."""
        held, self._held, self._bytes = self._held, [], 0
        return held

    def clear(self) -> None:
        """Let all go, for it will be read."""
        self._before, self._held, self._bytes, self.has_lost = [], [], 0, False
