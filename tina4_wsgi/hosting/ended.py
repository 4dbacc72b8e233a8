"""A descriptor for a server that asks a selector about a socket which was taken from it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar

from ..hub.native import allocate_lock

if TYPE_CHECKING:
    from _thread import LockType


class Ended:
    """The read end of a pipe that nobody writes to: readable for ever, with nothing in it.

    One for the whole process and its forked children, opened when a server first asks.
    """

    _lock: ClassVar[LockType] = allocate_lock()
    _fd: ClassVar[int] = -1

    @classmethod
    def fileno(cls) -> int:
        """Return the descriptor."""
        with cls._lock:
            if cls._fd < 0:
                cls._fd, other_end = os.pipe()
                os.close(other_end)
            return cls._fd

    @classmethod
    def renew_lock(cls) -> None:
        """Begin anew in a forked child: another thread of the parent may have held it."""
        cls._lock = allocate_lock()


os.register_at_fork(after_in_child=Ended.renew_lock)
