"""A journal in the memory of one process: for tests, and where `backplane` is "none"."""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING

from ..hub.native import allocate_lock
from .contract import MOST_ROWS, NEWS_S, Appended, Declaration, Kept, News, Point, Row
from .positions import new_epoch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .contract import Draft, Limits, Topic

_copies = itertools.count(1)


class MemoryJournal:
    """See `contract.Journal`; one object serves all hubs and threads of a process.

    Lock: `_lock` guards everything; nothing waits while it is held.
    """

    def __init__(self, most_bytes: int) -> None:
        self._lock = allocate_lock()
        self._most_bytes = most_bytes
        self._point = Point(new_epoch(), 0, next(_copies))
        self._rows: deque[tuple[Topic, Kept]] = deque()  # all that may be news to some hub
        self._dropped = 0  # the highest number that is not in `_rows` any more
        self._topics: dict[Topic, deque[Kept]] = {}
        self._until_s: dict[Topic, float] = {}
        self._floors: dict[Topic, int] = {}  # the last number that was dropped
        self._said: dict[str, float] = {}
        self._bytes = 0
        self._declared: list[Declaration] = []

    def append(self, drafts: Sequence[Draft], now_s: float) -> Appended:
        """Keep all drafts; see `contract.Journal`."""
        with self._lock:
            before, number, numbers = self._point, self._point.number, []
            for draft in drafts:
                if draft.once and draft.once in self._said:
                    numbers.append(0)
                    continue
                if draft.once:
                    self._said[draft.once] = now_s + draft.limits.longest_s
                number += 1
                numbers.append(number)
                self._keep(draft, Kept(number, draft.frame, draft.author, now_s))
            self._point = before._replace(number=number)
            self._drop_superfluous(now_s)
            return Appended(before, numbers)

    def _keep(self, draft: Draft, message: Kept) -> None:
        kept = self._topics.setdefault(draft.topic, deque())
        kept.append(message)
        self._rows.append((draft.topic, message))
        self._bytes += len(message.frame)
        self._until_s[draft.topic] = message.said_at_s + draft.limits.longest_s
        while len(kept) > draft.limits.most_messages:
            self._drop(draft.topic)

    def _drop(self, topic: Topic) -> None:
        kept = self._topics[topic]
        self._floors[topic] = kept.popleft().number
        if not kept:
            del self._topics[topic]

    def _drop_superfluous(self, now_s: float) -> None:
        """Drop what is too much, and what is neither history nor news any more."""
        while self._rows:
            topic, message = self._rows[0]
            kept = self._topics.get(topic)
            is_history = kept is not None and kept[0].number <= message.number
            is_news = message.said_at_s > now_s - NEWS_S
            if self._bytes <= self._most_bytes and (is_history or is_news):
                return
            self._rows.popleft()
            self._bytes -= len(message.frame)
            self._dropped = message.number
            if is_history:
                self._drop(topic)

    def news(self, number: int) -> News:
        """Return what was said behind `number`; see `contract.Journal`."""
        with self._lock:
            found = []
            for topic, message in reversed(self._rows):
                if message.number <= number:
                    break
                found.append(Row(topic, [message]))
            rows = found[::-1][:MOST_ROWS]
            last = rows[-1].messages[-1].number if len(found) > MOST_ROWS else self._point.number
            return News(self._point._replace(number=last), rows, number >= self._dropped)

    def missed(
        self, topic: Topic, number: int, end: int, limits: Limits, now_s: float
    ) -> list[Kept] | None:
        """Return a page of what was missed; see `contract.Journal`."""
        with self._lock:
            if number < self._floors.get(topic, 0):
                return None
            found = [one for one in self._topics.get(topic, ()) if number < one.number <= end]
            if found and found[0].said_at_s < now_s - limits.longest_s:
                return None
            return found[:MOST_ROWS]

    def latest(self, topic: Topic, most: int, end: int, limits: Limits, now_s: float) -> list[Kept]:
        """Return the last messages of a topic; see `contract.Journal`."""
        oldest_s = now_s - limits.longest_s
        with self._lock:
            kept = [
                one
                for one in self._topics.get(topic, ())
                if one.number <= end and one.said_at_s >= oldest_s
            ]
        return kept[max(0, len(kept) - most) :]

    def point(self) -> Point:
        """Return where the journal is."""
        return self._point

    def forget(self, topic: Topic) -> None:
        """Drop all messages of a topic."""
        with self._lock:
            while topic in self._topics:
                self._drop(topic)
            self._bytes -= sum(len(one.frame) for of, one in self._rows if of == topic)
            self._rows = deque(row for row in self._rows if row[0] != topic)
            self._dropped = max(self._dropped, self._floors.get(topic, 0))

    def renew(self) -> Point:
        """Begin a new epoch."""
        with self._lock:
            self._point = self._point._replace(epoch=new_epoch())
            return self._point

    def sweep(self, now_s: float) -> None:
        """Drop what is too old: of each topic by its last limits."""
        with self._lock:
            for topic, until_s in list(self._until_s.items()):
                if until_s < now_s:
                    del self._until_s[topic]
                    while topic in self._topics:
                        self._drop(topic)
            self._drop_superfluous(now_s)
            self._said = {key: until_s for key, until_s in self._said.items() if until_s >= now_s}

    def declare(self, declarations: Sequence[Declaration]) -> None:
        """Say what is kept."""
        self._declared = list(declarations)

    def declared(self) -> list[Declaration]:
        """Return what was declared."""
        return list(self._declared)

    def size_bytes(self) -> int:
        """Return how much room the messages take."""
        return self._bytes

    def close(self) -> None:
        """Do nothing: the messages live as long as the object."""
