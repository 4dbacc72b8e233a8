"""A publisher that keeps what it says in Redis where history is kept, also while nobody serves.

Free of gevent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import JournalError, UsageError
from ...journal.contract import Draft
from ..contract import Receipt, SaidBefore
from ..envelope import LOST_OF, Kind
from .journal import RedisJournal

if TYPE_CHECKING:
    from ...journal.contract import Topic
    from ..contract import OutsidePublisher
    from ..outside_journals import KeepingPlace, OutsideJournal


class RedisKeepingPublisher:
    """Publishes in Redis, and keeps there what the apps that serve have declared.

    Args:
        way: publishes what isn't kept.
        journal: what their apps keep.
    """

    def __init__(self, way: OutsidePublisher, journal: OutsideJournal) -> None:
        self._way = way
        self._journal = journal

    def carry(self, kind: Kind, name: str, frame: bytes, once: str = "") -> Receipt:
        """Keep a message, and tell all serving processes; see `contract.OutsidePublisher`."""
        topic = (int(kind), name)
        keeping = self._find(topic)
        try:
            if keeping is not None:
                assert isinstance(keeping.journal, RedisJournal)
                draft = Draft(topic, frame, keeping.limits, "", once)
                appended, heard = keeping.journal.say([draft])
                if not appended.numbers[0]:
                    return SaidBefore(0, 0)
                return Receipt(heard, None)
        except JournalError:
            # Those who are there hear it, and learn that those who are not will not.
            self._journal.close()
            return self._way.carry(LOST_OF.get(kind, kind), name, frame)

        if once:
            raise UsageError(
                f"once={once!r} for {name!r}, which keeps no history here, expected a route or a "
                "room with history, of an app that has been started"
            )
        return self._way.carry(kind, name, frame)

    def _find(self, topic: Topic) -> KeepingPlace | None:
        try:
            return self._journal.find(topic)
        except JournalError:
            # The user may only publish, or Redis is away, which publishing tells better. Processes
            # that keep history of this topic take the message for lost.
            return None

    def ring(self, kind: Kind, name: str, frames: list[bytes]) -> Receipt:
        """Do nothing: who keeps a message in Redis publishes it with it."""
        return Receipt(0, None)

    def close(self) -> None:
        """Close the connections."""
        self._way.close()
        self._journal.close()
