"""A journal in the memory of one process: for tests, and where `backplane` is "none"."""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from ..hub.native import allocate_lock
from .contract import (
    MOST_PAGE_BYTES,
    MOST_ROWS,
    NEWS_S,
    Appended,
    Declared,
    Kept,
    News,
    Point,
    Row,
)
from .positions import new_epoch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .contract import Draft, KeptLimits, Topic

_MOST_FLOORS = 100_000

_copies = itertools.count(1)


class MemoryJournal:
    """See `contract.Journal`; one object serves all hubs and threads of a process.

    Lock: `_lock` guards everything; nothing waits while it is held.
    """

    def __init__(self, most_bytes: int) -> None:
        self._lock = allocate_lock()
        self._most_bytes = most_bytes
        self._declared: list[Declared] = []
        self._begin()

    def _begin(self) -> None:
        self._point = Point(new_epoch(), 0, next(_copies))
        self._news: deque[tuple[Topic, Kept]] = deque()  # what some hub may not have heard yet
        self._news_bytes = 0
        self._cuts = 0
        self._dropped = 0  # the highest number that was news and isn't in `_news` any more
        self._topics: dict[Topic, deque[Kept]] = {}
        self._order: OrderedDict[int, Topic] = OrderedDict()  # of all that is in `_topics`
        self._bytes = 0  # of the same
        self._until_s: dict[Topic, float] = {}
        self._floors: dict[Topic, int] = {}  # the last number that was dropped
        self._floor = 0  # the same for topics that are not in `_floors`
        self._said: dict[tuple[Topic, str], float] = {}  # keys of `once`, and until when

    def append(self, drafts: Sequence[Draft], now_s: float) -> Appended:
        """Keep all drafts; see `contract.Journal`."""
        with self._lock:
            before, number, numbers = self._point, self._point.number, []
            for draft in drafts:
                key = draft.topic, draft.once
                if draft.once and key in self._said:
                    numbers.append(0)
                    continue
                if draft.once:
                    self._said[key] = now_s + draft.limits.longest_s
                number += 1
                numbers.append(number)
                self._keep(draft, Kept(number, draft.frame, draft.author, now_s))
            self._point = before._replace(number=number)
            self._drop_superfluous(now_s, before.number)
            return Appended(before, numbers)

    def _keep(self, draft: Draft, message: Kept) -> None:
        topic, size = draft.topic, len(message.frame)
        kept = self._topics.setdefault(topic, deque())
        kept.append(message)
        self._order[message.number] = topic
        self._bytes += size
        self._news.append((topic, message))
        self._news_bytes += size
        self._until_s[topic] = message.said_at_s + draft.limits.longest_s
        while len(kept) > draft.limits.most_messages:
            self._drop(topic)

    def _drop(self, topic: Topic) -> None:
        """Drop the oldest message of a topic."""
        kept = self._topics[topic]
        message = kept.popleft()
        del self._order[message.number]
        self._cuts += 1
        self._bytes -= len(message.frame)
        self._floors[topic] = message.number
        if not kept:
            del self._topics[topic]

    def _drop_superfluous(self, now_s: float, last: int) -> None:
        """Drop what is no news any more, and up to the number `last` what is too much."""
        while self._bytes > self._most_bytes and (oldest := next(iter(self._order))) <= last:
            self._drop(self._order[oldest])
        news = self._news
        while news and (
            news[0][1].said_at_s < now_s - NEWS_S
            or (self._news_bytes > self._most_bytes and news[0][1].number <= last)
        ):
            message = news.popleft()[1]
            self._news_bytes -= len(message.frame)
            self._dropped = message.number

    def news(self, number: int) -> News:
        """Return what was said behind `number`; see `contract.Journal`."""
        with self._lock:
            found: list[Row] = []
            for topic, message in reversed(self._news):
                if message.number <= number:
                    break
                found.append(Row(topic, [message]))
            rows = found[::-1][:MOST_ROWS]
            last = rows[-1].messages[-1].number if len(rows) == MOST_ROWS else self._point.number
            is_whole = self._dropped <= number <= self._point.number
            return News(self._point._replace(number=last), rows, is_whole, self._cuts)

    def missed(
        self, topic: Topic, number: int, end: int, limits: KeptLimits, now_s: float
    ) -> list[Kept] | None:
        """Return a page of what was missed; see `contract.Journal`."""
        with self._lock:
            if number < self._floors.get(topic, self._floor):
                return None
            behind = [one for one in self._topics.get(topic, ()) if number < one.number]
        if len(behind) > limits.most_messages:
            return None
        if behind and behind[0].said_at_s < now_s - limits.longest_s:
            return None

        page: list[Kept] = []
        size = 0
        for one in behind:
            if one.number > end or len(page) >= MOST_ROWS or size >= MOST_PAGE_BYTES:
                break
            page.append(one)
            size += len(one.frame)
        return page

    def latest(
        self, topic: Topic, most: int, end: int, limits: KeptLimits, now_s: float
    ) -> list[Kept]:
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
            gone = [one for of, one in self._news if of == topic]
            self._news_bytes -= sum(len(one.frame) for one in gone)
            self._news = deque(row for row in self._news if row[0] != topic)
            if gone:
                self._cuts += 1
                self._dropped = max(self._dropped, gone[-1].number)

    def renew(self) -> Point:
        """Begin a new epoch."""
        with self._lock:
            self._point = self._point._replace(epoch=new_epoch())
            return self._point

    def clear(self) -> None:
        """Begin anew, as a journal that was just made."""
        with self._lock:
            self._begin()

    def sweep(self, now_s: float) -> None:
        """Drop what is too old: of each topic by its last limits."""
        with self._lock:
            for topic, until_s in list(self._until_s.items()):
                if until_s < now_s:
                    del self._until_s[topic]
                    while topic in self._topics:
                        self._drop(topic)
            self._drop_superfluous(now_s, self._point.number)
            self._said = {key: until_s for key, until_s in self._said.items() if until_s >= now_s}
            if len(self._floors) > _MOST_FLOORS:
                # One that holds for all takes the place of the older half.
                self._floor = sorted(self._floors.values())[len(self._floors) // 2]
                self._floors = {
                    topic: number for topic, number in self._floors.items() if number > self._floor
                }

    def declare(self, declarations: Sequence[Declared]) -> None:
        """Say what is kept."""
        self._declared = sorted(set(declarations))

    def declared(self) -> list[Declared]:
        """Return what was declared, sorted."""
        return list(self._declared)

    def size_bytes(self) -> int:
        """Return how much room the messages take."""
        return self._bytes

    def close(self) -> None:
        """Do nothing: the messages live as long as the object."""
