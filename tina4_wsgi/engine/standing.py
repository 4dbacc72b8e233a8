"""What the keepers of both kinds of journal share: where they are, and who hears them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..journal.contract import Point
from ..journal.positions import Position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..journal.contract import Draft, Topic
    from ..websocket.transport import Transport


class Audience(Protocol):
    """Those who hear what is kept: the groups of one hub, and the other processes.

    Greenlets: called in the hub's thread; nothing waits.
    """

    def hear_kept(
        self,
        topic: Topic,
        numbers: Sequence[int],
        frames: list[bytes],
        excludes: Sequence[Transport | None] | None,
    ) -> None:
        """Queue messages that stand side by side in the journal for the members of their group.

        Args:
            excludes: whom each isn't for; None where all are for all.
        """

    def hear_unkept(self, draft: Draft, exclude: Transport | None) -> None:
        """Queue a message that could not be kept for the members of its group, in all processes."""

    def has_members(self, topic: Topic) -> bool:
        """Return whether somebody here hears a topic, or is about to."""

    def hear_early(self, draft: Draft, exclude: Transport | None) -> None:
        """Queue a message for the members of its group in this process alone."""

    def ring(self, topic: Topic, frames: list[bytes], before: int) -> None:
        """Tell other hubs and processes that there is news of a topic.

        Args:
            before: the number of the last message before the news.
        """

    def hear_void(self) -> None:
        """Tell all whose messages are marked that their positions are void."""

    def hear_position(self, position: str, *, has_gap: bool) -> None:
        """Tell all whose messages are marked where they are now.

        Args:
            has_gap: whether they may have missed something.
        """

    def hear_gap(self, topics: Sequence[Topic]) -> None:
        """Tell those whose messages are marked, and who hear these topics, of a gap."""


class Counts:
    """What one hub's keeper did, or what was kept for threads without a hub.

    Attributes:
        kept, unkept: messages that went into the journal, and that should have and did not.
        repeated: messages that weren't said, since their `once` had been.
        failures: how often the journal failed.
        resumes, gaps, newcomers: connections by what they were told of their past.
        replayed: messages that came from the journal to those who came.
        latest_s, longest_s: how long the last transaction took, and the longest.
    """

    __slots__ = (
        "failures",
        "gaps",
        "kept",
        "latest_s",
        "longest_s",
        "newcomers",
        "repeated",
        "replayed",
        "resumes",
        "unkept",
    )

    def __init__(self) -> None:
        self.kept = self.unkept = self.repeated = self.failures = 0
        self.resumes = self.gaps = self.newcomers = self.replayed = 0
        self.latest_s = self.longest_s = 0.0

    def note_transaction(self, took_s: float) -> None:
        """Note how long a transaction took."""
        self.latest_s = took_s
        self.longest_s = max(self.longest_s, took_s)


class Standing:
    """Where one hub is in a journal.

    Attributes:
        is_pending: whether something was said that isn't in the journal yet.
        counts: what it did.
        error: why the journal can't be used; "" while it can.
        is_distant: whether the journal is elsewhere, so that even a newcomer must wait for it.
    """

    is_distant = False

    def __init__(self, audience: Audience) -> None:
        self._audience = audience
        self._point = Point("", 0, 0)
        self._is_doubted = False
        self.is_pending = False
        self.error = ""
        self.counts = Counts()

    @property
    def position(self) -> str:
        """Where those are who have heard everything here."""
        return str(Position(self.epoch, self._point.number))

    @property
    def epoch(self) -> str:
        """The epoch; "" while positions are void."""
        return "" if self.error or self._is_doubted else self._point.epoch

    @property
    def era(self) -> object:
        """What stays the same as long as those who come miss nothing that isn't in the journal."""
        return self.epoch

    @property
    def number(self) -> int:
        """The number of the latest message that the groups here have got."""
        return self._point.number

    def is_of_now(self, position: Position) -> bool:
        """Return whether a position is of this epoch, and not behind its end."""
        return position.epoch == self.epoch != "" and position.number <= self._point.number
