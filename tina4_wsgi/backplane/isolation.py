"""Whether this process is cut off from others, so that a test can't reach a server beside it.

Free of gevent: publishers from outside use it too.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from .contract import Receipt

if TYPE_CHECKING:
    from ..journal.memory import MemoryJournal
    from .contract import Receiver
    from .envelope import Kind


class Isolation:
    """The isolation of one process.

    Attributes:
        is_on: once set, it stays for as long as the process lives.
        receivers: the apps of this process that serve connections.
        journals: what they keep in memory.
    """

    def __init__(self) -> None:
        self.is_on = False
        self.receivers: weakref.WeakSet[Receiver] = weakref.WeakSet()
        self.journals: weakref.WeakSet[MemoryJournal] = weakref.WeakSet()

    def forget_history(self) -> None:
        """Drop all that is kept in memory, so that a test finds nothing of an earlier one."""
        for journal in list(self.journals):
            journal.clear()


isolation = Isolation()
"""The isolation of this process."""


class WithinProcess:
    """Publishes to the apps of this process alone, for publishers of an isolated process."""

    def carry(self, kind: Kind, name: str, frame: bytes, once: str = "") -> Receipt:
        """Deliver to every app here; the process counts as one, even without clients."""
        clients = 0
        for receiver in list(isolation.receivers):
            clients += receiver.count_here(kind, name)
            receiver.say(kind, name, frame, once)
        return Receipt(1, clients)

    def ring(self, kind: Kind, name: str, frames: list[bytes], before: int) -> Receipt:
        """Do nothing: those who keep in this process hear it themselves."""
        return Receipt(1, 0)

    def close(self) -> None:
        """Do nothing: there is no socket."""
