"""A publisher that keeps what it says in Redis where history is kept, also while nobody serves.

Free of gevent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import JournalError
from ..contract import Receipt, SaidBefore
from ..keeping_publisher import KeepingPublisher
from .journal import RedisJournal

if TYPE_CHECKING:
    from ...journal.contract import Draft, Topic
    from ..envelope import Kind
    from ..outside_journals import KeepingPlace


class RedisKeepingPublisher(KeepingPublisher):
    """Publishes in Redis, and keeps there what the apps that serve have declared."""

    def ring(self, kind: Kind, name: str, frames: list[bytes], before: int) -> Receipt:
        """Do nothing: who keeps a message in Redis publishes it with it."""
        return Receipt(0, None)

    def _find(self, topic: Topic) -> KeepingPlace | None:
        try:
            return super()._find(topic)
        except JournalError:
            # The user may only publish, or Redis is away, which publishing tells better. Processes
            # that keep history of this topic take the message for lost.
            return None

    def _keep(self, keeping: KeepingPlace, draft: Draft) -> Receipt:
        assert isinstance(keeping.journal, RedisJournal)
        appended, heard = keeping.journal.say([draft])
        return Receipt(heard, None) if appended.numbers[0] else SaidBefore(0, 0)
