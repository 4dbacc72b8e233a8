"""Receives and sends on a descriptor, without waiting, and closes it.

How it works. This module is pure Python. `syscalls.pyx` beside it is the same module for a C
compiler; where the engine is compiled, Python imports the compiled one, which receives into one
buffer for all connections of a hub, calls `recv` and `send` itself, and makes no object that says
"nothing".

Invariants: both modules have the same names, with the same results, and pass the same tests.
"""

from __future__ import annotations

import _socket
import os
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gevent.monkey import get_original

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "BROKEN",
    "FIRST_READ_BYTES",
    "READ_BYTES",
    "WOULD_WAIT",
    "Inbox",
    "accept",
    "close_descriptor",
    "send",
    "set_reset_on_close",
    "shut_down_writing",
]

READ_BYTES = 65_536
"""Most bytes read from a socket at once, which also bounds one client's work per turn."""

FIRST_READ_BYTES = 16_384
"""Most bytes per read until a read returns this many: Python allocates the whole size, and 64 KiB
for 70 bytes cost half a microsecond. The compiled module has one buffer and always offers it all.
"""

WOULD_WAIT, BROKEN = -1, -2
"""What `receive` and `send` return in the place of a number of bytes."""

# In a patched process `os.close` closes in a later turn of the hub, or waits for one.
_close = get_original("os", "close")
_NO_LINGER = struct.pack("ii", 1, 0)  # SO_LINGER on, for 0 s


class Inbox:
    """The bytes of the last `receive`, for all connections of one hub.

    Attributes:
        raw: these bytes; in the compiled module a plain pointer, and the next `receive` changes
            what it points to.
    """

    __slots__ = ("raw",)

    def __init__(self) -> None:
        self.raw = b""

    def receive(self, descriptor: int, most_bytes: int) -> int:
        """Receive what has arrived.

        Args:
            most_bytes: at most `READ_BYTES`.
        Returns:
            How many bytes those are; 0 at the end of the stream, `WOULD_WAIT` if nothing has
            arrived, `BROKEN` if the connection is.
        """
        try:
            self.raw = os.read(descriptor, most_bytes)
        except BlockingIOError:
            return WOULD_WAIT
        except OSError:
            return BROKEN
        return len(self.raw)


def accept(listener: Any) -> tuple[int, Any] | None:  # Any: addresses are of many kinds
    """Accept a connection.

    Args:
        listener: a listening socket, one of gevent's or Python's own.
    Returns:
        A descriptor, non-blocking and not inherited by child programs, and the client's address as
        `socket.accept` has it; None if nobody waits.
    Raises:
        OSError: nobody can be accepted for now, or the first who waited has gone.
    """
    try:
        descriptor, address = listener._accept()
    except BlockingIOError:
        return None
    os.set_blocking(descriptor, False)
    return descriptor, address


def send(descriptor: int, data: bytes) -> int:
    """Offer `data` to the kernel.

    Returns:
        How many bytes it took; `WOULD_WAIT` for none, `BROKEN` if the connection is broken.
    """
    try:
        return os.write(descriptor, data)
    except BlockingIOError:
        return WOULD_WAIT
    except OSError:
        return BROKEN


def close_descriptor(descriptor: int) -> None:
    """Close a descriptor that no watcher of gevent's watches; harmless if it is closed."""
    try:
        _close(descriptor)
    except OSError:
        pass  # the descriptor is free all the same, see close(2)


def shut_down_writing(descriptor: int) -> None:
    """Send FIN behind all that was sent.

    Raises:
        OSError: the connection is broken.
    """
    with _as_socket(descriptor) as sock:
        sock.shutdown(_socket.SHUT_WR)


def set_reset_on_close(descriptor: int) -> None:
    """Make `close` reset the connection and drop what the kernel has not sent yet."""
    try:
        with _as_socket(descriptor) as sock:
            sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _NO_LINGER)
    except OSError:
        pass  # it is closed all the same


@contextmanager
def _as_socket(descriptor: int) -> Iterator[_socket.socket]:
    # With a family it doesn't ask the kernel for one, and these calls need none.
    sock = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM, 0, descriptor)
    try:
        yield sock
    finally:
        sock.detach()
