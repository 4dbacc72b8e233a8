"""Whether this process reaches no other: what a test broadcasts must not reach a server that runs
beside it.

Free of gevent, since publishers ask too.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from .contract import Receipt

if TYPE_CHECKING:
    from .contract import Receiver
    from .envelope import Kind


class Isolation:
    """The isolation of one process.

    Attributes:
        is_on: once it is, for as long as the process lives.
        receivers: the apps of this process that serve connections.
    """

    def __init__(self) -> None:
        self.is_on = False
        self.receivers: weakref.WeakSet[Receiver] = weakref.WeakSet()


isolation = Isolation()
"""Of this process."""


class WithinProcess:
    """A way for publishers of an isolated process: to the apps of that process itself."""

    def carry(self, kind: Kind, name: str, frame: bytes) -> Receipt:
        """Deliver to every app here; the process counts as one, as a server without clients
        does.
        """
        clients = 0
        for receiver in list(isolation.receivers):
            clients += receiver.count_here(kind, name)
            receiver.deliver(kind, name, frame)
        return Receipt(1, clients)

    def close(self) -> None:
        """Give back nothing: there is nothing to hold."""
