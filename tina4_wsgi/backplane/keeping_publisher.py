"""A publisher that keeps what it says where history is kept, also while nobody serves.

Free of gevent.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..errors import BackplaneError, JournalError, UsageError
from ..journal.contract import Draft
from .contract import Receipt, SaidBefore
from .envelope import BELL_OF, LOST_OF, Kind

if TYPE_CHECKING:
    from ..journal.contract import Topic
    from .contract import OutsidePublisher
    from .outside_journals import KeepingPlace, OutsideJournal


class KeepingPublisher:
    """Publishes on the bus of this machine, and in the journal of its project.

    Args:
        way: tells the processes that serve.
        journal: what their apps keep, and where.
    """

    def __init__(self, way: OutsidePublisher, journal: OutsideJournal) -> None:
        self._way = way
        self._journal = journal

    def carry(self, kind: Kind, name: str, frame: bytes, once: str = "") -> Receipt:
        """Keep a message, and tell all serving processes; see `contract.OutsidePublisher`."""
        topic = (int(kind), name)
        try:
            keeping = self._find(topic)
            if keeping is not None:
                return self._keep(keeping, Draft(topic, frame, keeping.limits, "", once))
        except JournalError:
            # Those who are there hear it, and learn that those who are not will not.
            self._journal.close()
            return self._way.carry(LOST_OF[kind], name, frame)

        if once:
            raise UsageError(
                f"once={once!r} for {name!r}, which keeps no history here, expected a route or a "
                "room with history, of an app that has been started"
            )
        return self._way.carry(kind, name, frame)

    def ring(self, kind: Kind, name: str, frames: list[bytes], before: int) -> Receipt:
        """Tell all serving processes that the journal has news."""
        return self._way.ring(kind, name, frames, before)

    def close(self) -> None:
        """Close sockets and file."""
        self._way.close()
        self._journal.close()

    def _find(self, topic: Topic) -> KeepingPlace | None:
        return self._journal.find(topic)

    def _keep(self, keeping: KeepingPlace, draft: Draft) -> Receipt:
        number = keeping.journal.append([draft], time.time()).numbers[0]
        if not number:
            return SaidBefore(0, 0)
        kind, name = draft.topic
        try:
            return self._way.ring(BELL_OF[Kind(kind)], name, [draft.frame], number - 1)
        except BackplaneError:
            return Receipt(0, 0)  # it is kept: whoever comes back gets it
