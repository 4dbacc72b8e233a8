"""What the kernel didn't take yet of one connection's output."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from gevent.event import Event

if TYPE_CHECKING:
    from .stream import Stream

_COALESCE_BYTES = 65_536
"""Waiting pieces are joined up to about so much for one `send` call."""


class Backlog:
    """Bytes that wait for the socket to become writable, oldest first.

    Greenlets: any of the hub's thread; nothing here switches but `wait_for_room`.

    Args:
        watcher: the write watcher, which the backlog owns.
        data: what was offered to the kernel.
        sent: how much of it the kernel took.

    Attributes:
        progressed_at_s: when the kernel last took something, on the monotonic clock.
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
        self._droppable = deque([False])  # of each piece, whether `drop_oldest` may take it
        self._offset = sent  # of the first piece, what has been sent
        # Whether the first piece was offered: of what TLS didn't take it has encrypted a record all
        # the same, and that leaves next, whatever is offered then.
        self._is_begun = True
        self._room: Event | None = None
        self.progressed_at_s = time.monotonic()

    def __len__(self) -> int:
        return len(self._pieces)

    def append(self, data: bytes, is_droppable: bool = False) -> None:
        """Append a piece; only broadcasts may be droppable, not what is for this peer alone."""
        self._pieces.append(data)
        self._droppable.append(is_droppable)

    def send_some(self, stream: Stream) -> int:
        """Offer the oldest bytes to the kernel, in one call.

        Returns:
            How many it took; 0 if all that waited has been dropped.
        Raises:
            OSError: as `stream.send`; BlockingIOError if it takes nothing after all.
        """
        if not self._pieces:
            return 0
        chunk = self._next_chunk()
        self._is_begun = True
        sent = stream.send(chunk)
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
        """Give one large piece, or small ones joined."""
        pieces = self._pieces
        first = pieces[0]
        if self._offset:
            return memoryview(first)[self._offset :]
        if len(pieces) == 1 or len(first) >= _COALESCE_BYTES:
            return first
        joined, size = [], 0
        while pieces and size < _COALESCE_BYTES:
            joined.append(pieces.popleft())
            self._droppable.popleft()
            size += len(joined[-1])
        pieces.appendleft(b"".join(joined))
        self._droppable.appendleft(False)
        return pieces[0]

    def drop_oldest(self, least_bytes: int) -> int:
        """Forget the oldest broadcasts, at least so many bytes of them if there are.

        Returns:
            How many bytes were forgotten.
        """
        freed = 0
        kept: deque[bytes] = deque()
        kept_droppable: deque[bool] = deque()
        for position, piece in enumerate(self._pieces):
            # A frame can't be cut short: the first piece may have left in part.
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
        """Forget all but the piece that may have left in part: a frame can't be cut short.

        Returns:
            How many bytes still wait.
        """
        while len(self._pieces) > (1 if self._is_begun else 0):
            self._pieces.pop()
            self._droppable.pop()
        return sum(map(len, self._pieces)) - self._offset

    def wait_for_room(self) -> None:
        """Wait until the kernel took something, or this is closed. Not in the hub."""
        if self._room is None:
            self._room = Event()
        self._room.wait()

    def close(self) -> None:
        """Give the watcher back, before the descriptor; whoever waits goes on."""
        self._watcher.stop()
        self._watcher.close()
        self._wake()

    def _wake(self) -> None:
        if self._room is not None:
            self._room.set()
            self._room = None
