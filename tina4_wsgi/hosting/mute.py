"""What a server finds in the place of a connection that was taken: nothing, and no error."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, ClassVar, NoReturn

from ..hub.native import allocate_lock

if TYPE_CHECKING:
    from _thread import LockType

    from typing_extensions import Buffer


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


class Mute:
    """The methods of a connection whose client has left and that takes all that is written."""

    __slots__ = ()

    def fileno(self) -> int:
        """Return -1, as of any closed socket."""
        return -1

    def send(self, data: Buffer, flags: int = 0, /) -> int:
        """Take it all."""
        return memoryview(data).nbytes

    def sendall(self, data: Buffer, flags: int = 0, /) -> None:
        """Take it all."""

    def recv(self, size_bytes: int = 0, flags: int = 0, /) -> bytes:
        """Report the end of the stream."""
        return b""

    def recv_into(self, buffer: object, size_bytes: int = 0, flags: int = 0, /) -> int:
        """Report the end of the stream."""
        return 0

    def getsockopt(self, level: int, option: int, /) -> int:
        """Return 0, whatever is asked for."""
        return 0

    def setsockopt(self, level: int, option: int, value: object, /) -> None:
        """Set nothing."""

    def gettimeout(self) -> None:
        """Return None, as of a socket that waits."""

    def settimeout(self, timeout_s: float | None, /) -> None:
        """Set nothing."""

    def setblocking(self, flag: bool, /) -> None:
        """Set nothing."""

    def shutdown(self, how: int, /) -> None:
        """Shut down nothing."""

    def unwrap(self) -> Mute:
        """Shut down nothing."""
        return self

    def close(self) -> None:
        """Close nothing."""

    def _real_close(self) -> None:
        """Close nothing, when the last file of this socket is closed."""

    def getpeername(self) -> NoReturn:
        """Raise what the kernel raises when the client has left.

        Raises:
            OSError: always.
        """
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

    getsockname = getpeername


class PolledMute(Mute):
    """The same for a server that asks a selector whether there is more to read.

    There is: the end of the stream.
    """

    __slots__ = ()

    def fileno(self) -> int:
        """Return the descriptor of something that has ended."""
        return Ended.fileno()
