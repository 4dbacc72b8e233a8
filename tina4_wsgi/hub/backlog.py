"""The part of one connection's output that the kernel hasn't taken yet."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from gevent.event import Event

if TYPE_CHECKING:
    from collections.abc import Callable

_COALESCE_BYTES = 65_536
"""Waiting pieces are joined to chunks of about this size, one for each `send` call."""


class Backlog:
    """Bytes that wait for the socket to become writable, oldest first.

    Greenlets: any of the hub's thread; only `wait_for_room` switches.

    Args:
        watcher: the write watcher; the backlog owns it.
        data: the bytes that were offered to the kernel.
        sent: how many of these bytes the kernel took.

    Attributes:
        progressed_at_s: when the kernel last took bytes, on the monotonic clock.
    """

    __slots__ = (
        "_droppable",
        "_is_begun",
        "_offset",
        "_pieces",
        "_room",
        "_watcher",
        "progressed_at_s",
    )

    def __init__(self, watcher: Any, data: bytes, sent: int) -> None:
        self._watcher = watcher
        self._pieces = deque([data])
        # For each piece, whether `drop_oldest` may drop it.
        self._droppable = deque([False])
        self._offset = sent  # how many bytes of the first piece have been sent
        # Whether the first piece has been offered. Even where TLS took none of it, OpenSSL has
        # encrypted a record of it, and this record leaves next, whatever is offered then.
        self._is_begun = True
        self._room: Event | None = None
        self.progressed_at_s = time.monotonic()

    def __len__(self) -> int:
        return len(self._pieces)

    def append(self, data: bytes, is_droppable: bool = False) -> None:
        """Append a piece; only a broadcast may be droppable, never a frame for this peer alone."""
        self._pieces.append(data)
        self._droppable.append(is_droppable)

    def send_some(self, send: Callable[[bytes | memoryview], int]) -> int:
        """Offer the oldest bytes to the kernel, in one call of `send`.

        Returns:
            How many bytes the kernel took; 0 if all waiting pieces have been dropped.
        Raises:
            OSError: as `Stream.send`; BlockingIOError if the kernel takes nothing after all.
        """
        if not self._pieces:
            return 0

        chunk = self._next_chunk()
        self._is_begun = True

        sent = send(chunk)
        self._offset += sent

        if self._offset == len(self._pieces[0]):
            self._pieces.popleft()
            self._droppable.popleft()
            self._offset = 0
            self._is_begun = False

        self.progressed_at_s = time.monotonic()
        self._wake()
        return sent

    def _next_chunk(self) -> bytes | memoryview:
        """Return one large piece, or several small pieces joined."""
        pieces = self._pieces
        first = pieces[0]
        if self._offset:
            return memoryview(first)[self._offset :]

        joined, size = [], 0
        while pieces and size < _COALESCE_BYTES:
            joined.append(pieces.popleft())
            self._droppable.popleft()
            size += len(joined[-1])

        # Of a single piece, `join` makes no copy.
        pieces.appendleft(b"".join(joined))
        self._droppable.appendleft(False)
        return pieces[0]

    def drop_oldest(self, least_bytes: int) -> int:
        """Drop the oldest broadcasts, at least `least_bytes` of them if that many wait.

        Returns:
            How many bytes were dropped.
        """
        freed = 0
        kept: deque[bytes] = deque()
        kept_droppable: deque[bool] = deque()

        for position, piece in enumerate(self._pieces):
            # A frame can't be cut short, and the first piece may have been sent in part.
            if (
                freed < least_bytes
                and self._droppable[position]
                and (position or not self._is_begun)
            ):
                freed += len(piece)
            else:
                kept.append(piece)
                kept_droppable.append(self._droppable[position])

        self._pieces, self._droppable = kept, kept_droppable
        return freed

    def drop(self) -> int:
        """Drop all pieces except one that may have been sent in part: a frame can't be cut short.

        Returns:
            How many bytes still wait.
        """
        while len(self._pieces) > (1 if self._is_begun else 0):
            self._pieces.pop()
            self._droppable.pop()
        return sum(map(len, self._pieces)) - self._offset

    def wait_for_room(self) -> None:
        """Wait until the kernel takes bytes or the backlog is closed; not for the hub."""
        if self._room is None:
            self._room = Event()
        self._room.wait()

    def close(self) -> None:
        """Close the watcher, before its descriptor is closed; waiting greenlets go on."""
        self._watcher.stop()
        self._watcher.close()
        self._wake()

    def _wake(self) -> None:
        if self._room is not None:
            self._room.set()
            self._room = None
