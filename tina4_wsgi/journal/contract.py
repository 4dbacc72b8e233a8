"""What a journal and those who keep and read in it promise each other.

A journal gives each kept message a number. Numbers grow by one, over all paths and rooms of an app,
and are never given twice within one epoch. An epoch is a random text: it begins with a journal, and
a new one begins whenever something may have been said that the journal doesn't have. So a position,
an epoch with a number, says exactly what somebody has seen.
"""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION = 1
"""Of the tables of a journal, and of what processes tell each other of it."""

MOST_ROWS = 256
"""The most rows that are read in one go: others have their turns in between."""

MOST_PAGE_BYTES = 262_144
"""A page of what somebody missed ends with the row in which it becomes that long."""

NEWS_S = 10.0
"""What is younger isn't dropped for being one too many: other processes may have to read it yet."""

Topic = tuple[int, str]
"""What is kept under one name: the number of a `routing.names.GroupKind`, and a path or a room."""


class KeptLimits(NamedTuple):
    """How much is kept of one path or room.

    Attributes:
        most_messages: the latest ones; older ones go.
        longest_s: those that are older go.
        replay: how many of the latest a newcomer gets.
    """

    most_messages: int
    longest_s: float
    replay: int = 0


class Draft(NamedTuple):
    """A message that is to be kept.

    Attributes:
        frame: as it goes to clients: one whole, unmasked, uncompressed frame (RFC 6455 §5.2).
        limits: of its topic.
        author: the name that a client gave itself, if the message isn't for that client; "" for a
            message for all.
        once: a key; a second message under the same key isn't kept in this topic. "" for none.
    """

    topic: Topic
    frame: bytes
    limits: KeptLimits
    author: str = ""
    once: str = ""


def runs(drafts: Sequence[Draft]) -> list[tuple[int, int]]:
    """Return begin and end of each run of messages of one topic."""
    found, begin = [], 0
    for _, run in groupby(map(attrgetter("topic"), drafts)):
        end = begin + len(list(run))
        found.append((begin, end))
        begin = end
    return found


class Kept(NamedTuple):
    """A message as it was kept.

    Attributes:
        number: its place in the order.
        frame, author: as of `Draft`.
        said_at_s: when, in seconds since 1970.
    """

    number: int
    frame: bytes
    author: str
    said_at_s: float


class Row(NamedTuple):
    """Messages of one topic that stand side by side in the order."""

    topic: Topic
    messages: list[Kept]

    @property
    def numbers(self) -> list[int]:
        """The numbers of the messages."""
        return [one.number for one in self.messages]

    @property
    def frames(self) -> list[bytes]:
        """The frames of the messages."""
        return [one.frame for one in self.messages]


class Point(NamedTuple):
    """Where a journal is.

    Attributes:
        epoch: the epoch.
        number: of the latest message; 0 before the first.
        copy_id: which copy of the journal this is. Another one, as behind a deleted file, may lack
            what the last one had; within one copy nothing is missing, whatever the epoch.
    """

    epoch: str
    number: int
    copy_id: int


class Appended(NamedTuple):
    """What became of drafts.

    Attributes:
        before: where the journal was just before.
        numbers: of the drafts, in their order; 0 for one whose `once` had been said.
    """

    before: Point
    numbers: list[int]


class News(NamedTuple):
    """What was said behind a number, by anybody.

    Attributes:
        point: where the journal is; its number is the last one of `rows` if there is more to read.
        is_whole: whether nothing of it has been dropped already, and the number was given before.
        cuts: how often anything was dropped.
    """

    point: Point
    rows: list[Row]
    is_whole: bool
    cuts: int


class Declared(NamedTuple):
    """What an app says of the paths, or rooms, that it keeps.

    Attributes:
        kind: the number of a `GroupKind`.
        pattern: the path of a route, or the pattern of rooms.
    """

    kind: int
    pattern: str
    limits: KeptLimits


class Records(Protocol):
    """One app's kept messages, for those who say and read them.

    Each method raises JournalError where they can't be used; then nothing has been kept.
    """

    def append(self, drafts: Sequence[Draft], now_s: float) -> Appended:
        """Keep all drafts, side by side, or none."""

    def missed(
        self, topic: Topic, number: int, end: int, limits: KeptLimits, now_s: float
    ) -> list[Kept] | None:
        """Return a topic's messages behind `number` up to `end`, oldest first; a page of them.

        Returns:
            At most about `MOST_ROWS` messages; none if there are no more. None if one of them is
            not there any more: it was too old, or too many came behind it.
        """

    def latest(
        self, topic: Topic, most: int, end: int, limits: KeptLimits, now_s: float
    ) -> list[Kept]:
        """Return the last `most` messages of a topic up to the number `end`, oldest first."""

    def point(self) -> Point:
        """Return where the journal is."""

    def forget(self, topic: Topic) -> None:
        """Drop all messages of a topic; whoever has missed one of them is told of a gap.

        Leaves no bytes of them. JournalError where that can't be seen to, though all is dropped.
        """

    def renew(self) -> Point:
        """Begin a new epoch, where need be in a new copy, and return where the journal is."""

    def declare(self, declarations: Sequence[Declared]) -> None:
        """Say what is kept, for processes that publish without the app."""

    def declared(self) -> list[Declared]:
        """Return what was declared, sorted and each once."""

    def size_bytes(self) -> int:
        """Return how much room the messages take; 0 where something else bounds it."""

    def close(self) -> None:
        """Release what is held open; the journal may be used again."""


@runtime_checkable
class Journal(Records, Protocol):
    """One app's kept messages where each hub reads what others have kept.

    Calls may take a millisecond, and wait at most `database.PATIENCE_S` for other writers; none
    switches to another greenlet.
    """

    def news(self, number: int) -> News:
        """Return what was said behind `number`, at most `MOST_ROWS` rows."""

    def sweep(self, now_s: float) -> None:
        """Drop what is too old and what is too much, a part at a time."""
