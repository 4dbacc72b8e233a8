"""What one hub has heard last, so that those who join need not ask the journal for it again."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..journal.contract import Kept, Row, Topic

_MOST_BYTES = 1 << 20
_ROW_BYTES = 200  # what a message takes besides its frame


class Recent:
    """The latest messages of all topics, as many as have room.

    Attributes:
        floor: all that was heard here behind this number is here.
    """

    def __init__(self) -> None:
        self.floor = 0
        self._order: deque[tuple[Topic, int]] = deque()
        self._topics: dict[Topic, deque[Kept]] = {}
        self._bytes = 0

    def add(self, row: Row) -> None:
        """Remember some more, and forget the oldest where they are too many."""
        topic, messages = row
        kept = self._topics.get(topic)
        if kept is None:
            kept = self._topics[topic] = deque()
        for message in messages:
            kept.append(message)
            size_bytes = len(message.frame) + _ROW_BYTES
            self._order.append((topic, size_bytes))
            self._bytes += size_bytes
        while self._bytes > _MOST_BYTES:
            self._drop_oldest()

    def behind(self, topic: Topic, number: int, most: int) -> list[Kept]:
        """Return a topic's messages behind a number, the first `most` of them."""
        found: deque[Kept] = deque(maxlen=most)
        for message in reversed(self._topics.get(topic, ())):
            if message.number <= number:
                break
            found.appendleft(message)
        return [*found]

    def clear(self, floor: int) -> None:
        """Forget everything; what comes is behind `floor`."""
        self._order.clear()
        self._topics.clear()
        self._bytes = 0
        self.floor = floor

    def _drop_oldest(self) -> None:
        topic, size_bytes = self._order.popleft()
        self._bytes -= size_bytes
        kept = self._topics[topic]
        self.floor = kept.popleft().number
        if not kept:
            del self._topics[topic]
