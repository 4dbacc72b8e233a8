"""A publisher that keeps what it says in Redis where history is kept, also while nobody serves.

Free of gevent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import JournalError, UsageError
from ...journal.contract import Declaration, Draft
from ..contract import TIMEOUT_S, Receipt, SaidBefore
from ..envelope import LOST_OF, Kind
from ..outside_journals import Patterns
from .journal import RedisJournal

if TYPE_CHECKING:
    from ...config import Config
    from ...journal.contract import Limits, Topic
    from ..contract import OutsidePublisher


class RedisKeepingPublisher:
    """Publishes in Redis, and keeps there what the apps that serve have declared.

    Args:
        way: publishes what isn't kept.
        app_number: which app of each serving process it speaks to.
    """

    def __init__(self, config: Config, way: OutsidePublisher, app_number: int = 0) -> None:
        self._way = way
        self._journal = RedisJournal(config, app_number, TIMEOUT_S)
        self._declared: list[Declaration] = []
        self._patterns = Patterns([])

    def carry(self, kind: Kind, name: str, frame: bytes, once: str = "") -> Receipt:
        """Keep a message, and tell all serving processes; see `contract.OutsidePublisher`."""
        topic = (int(kind), name)
        limits = self._limits_of(topic)
        try:
            if limits is not None:
                appended, counts = self._journal.say([Draft(topic, frame, limits, "", once)])
                if not appended.numbers[0]:
                    return SaidBefore(0, 0)
                return Receipt(counts[0], None)
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

    def _limits_of(self, topic: Topic) -> Limits | None:
        try:
            declared = self._journal.declared()
        except JournalError:
            # The user may only publish, or Redis is away, which publishing tells better. Processes
            # that keep history of this topic take the message for lost.
            return None
        if declared != self._declared:
            self._declared, self._patterns = declared, Patterns(declared)
        return self._patterns.limits_of(topic)

    def ring(self, kind: Kind, name: str, frames: list[bytes]) -> Receipt:
        """Do nothing: who keeps a message in Redis publishes it with it."""
        return Receipt(0, None)

    def close(self) -> None:
        """Close the connections."""
        self._way.close()
        self._journal.close()
