"""What was said, for those who look back or listen in: views, and processes that don't serve."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from ..errors import UsageError
from ..protocol.marks import message_of
from .contract import MOST_ROWS, Journal
from .positions import Position, parse

if TYPE_CHECKING:
    from .contract import Kept, KeptLimits, Point, Records, Topic


class KeptMessage(NamedTuple):
    """A message of the past.

    Attributes:
        position: of this message, for `after` and for `since` of a page.
        message: as clients get it.
        said_at_s: when, in seconds since 1970.
    """

    position: str
    message: str | bytes
    said_at_s: float


class Heard(NamedTuple):
    """What a listener heard.

    Attributes:
        messages: of its topic, in order.
        has_gap: whether some were dropped before they could be read.
        has_more: whether more can be read at once.
    """

    messages: list[KeptMessage]
    has_gap: bool
    has_more: bool


def past(
    journal: Records,
    topic: Topic,
    limits: KeptLimits,
    after: str | None,
    most: int,
    point: Point | None = None,
) -> list[KeptMessage]:
    """Return messages of a topic, oldest first.

    Args:
        limits: of the topic.
        after: a position; what was said behind it. None for the latest messages.
        most: how many, at most.
        point: up to where; by default all that there is.
    Raises:
        JournalError: they can't be read.
        UsageError: what came behind `after` isn't there any more.
    """
    if point is None:
        point = journal.point()
    if after is None:
        found = journal.latest(topic, most, point.number, limits, time.time())
    else:
        found = _behind(journal, topic, limits, parse(after), most, point)
    return [_shown(point.epoch, one) for one in found]


def _behind(
    journal: Records, topic: Topic, limits: KeptLimits, position: Position, most: int, point: Point
) -> list[Kept]:
    found: list[Kept] = []
    page: list[Kept] | None = None
    if position.epoch == point.epoch:
        page = journal.missed(topic, position.number, point.number, limits, time.time())
    while page and len(found) < most:
        found.extend(page)
        page = journal.missed(topic, page[-1].number, point.number, limits, time.time())
    if page is None:
        raise UsageError(
            f"what was said on {topic[1]!r} behind {str(position)!r} is not there any more, "
            "expected a position that `history` still reaches"
        )
    return found[:most]


class Listener:
    """Hears what is said of one topic from now on.

    Args:
        journal: used by this object alone.
        limits: of the topic.
    Raises:
        JournalError: it can't be read.

    Attributes:
        point: up to where it has heard.
    """

    def __init__(self, journal: Records, topic: Topic, limits: KeptLimits) -> None:
        self._journal = journal
        self._topic = topic
        self._limits = limits
        self.point = journal.point()

    def hear(self) -> Heard:
        """Return what was said since the last call.

        Raises:
            JournalError: it can't be read; the next call tries again.
        """
        if not isinstance(self._journal, Journal):
            return self._hear_page()
        news = self._journal.news(self.point.number)
        has_gap = not news.is_whole or news.point.copy_id != self.point.copy_id
        self.point = news.point
        messages = [
            _shown(news.point.epoch, message)
            for row in news.rows
            if row.topic == self._topic
            for message in row.messages
        ]
        return Heard(messages, has_gap, len(news.rows) >= MOST_ROWS)

    def _hear_page(self) -> Heard:
        """Hear of a journal that tells of one topic alone."""
        before, point = self.point, self._journal.point()
        page = None
        if point.epoch == before.epoch:
            number, now_s = before.number, time.time()
            page = self._journal.missed(self._topic, number, point.number, self._limits, now_s)
        self.point = before._replace(number=page[-1].number) if page else point
        messages = self._left(before, point) if page is None else page
        return Heard([_shown(point.epoch, one) for one in messages], page is None, bool(page))

    def _left(self, before: Point, point: Point) -> list[Kept]:
        """Return what is left behind a gap."""
        # A number below that of before shows that it began to count anew.
        number = before.number if point.number >= before.number else 0
        most, now_s = self._limits.most_messages, time.time()
        found = self._journal.latest(self._topic, most, point.number, self._limits, now_s)
        return [one for one in found if one.number > number]


def _shown(epoch: str, kept: Kept) -> KeptMessage:
    return KeptMessage(str(Position(epoch, kept.number)), message_of(kept.frame), kept.said_at_s)
