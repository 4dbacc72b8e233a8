"""Groups by name, each with its members and the frames that wait for all of them.

A broadcast is encoded once and appended once, to its group's list; at the end of the hub's turn the
list is joined once, and every member gets the same bytes. So a broadcast costs its sender the same
with two members and with two thousand, and thirty broadcasts in one turn cost each member one
`send` call.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..hub import mishaps
from ..hub.native import allocate_lock
from ..websocket.transport import FrameSource, Transport

if TYPE_CHECKING:
    from ..hub.flush_queue import FlushQueue

logger = logging.getLogger("tina4_wsgi.engine")

_FLUSH_BYTES = 262_144
"""A group with more pending bytes is flushed before the end of the turn: a callback may broadcast
without end.
"""


class Group(FrameSource):
    """The transports on one path, or in one room.

    Greenlets: only the hub's thread broadcasts and flushes; `Groups` adds and removes members.

    Attributes:
        name: the path or the room.
        pending: frames that leave at the end of the turn, oldest first.
    """

    __slots__ = ("_flush_queue", "_members", "_pending_bytes", "_snapshot", "name")

    def __init__(self, name: str, flush_queue: FlushQueue) -> None:
        super().__init__()
        self.name = name
        self._flush_queue = flush_queue
        self._members: dict[Transport, None] = {}  # guarded by the lock of `Groups`
        self._snapshot: tuple[Transport, ...] | None = ()  # of _members; None after a change
        self._pending_bytes = 0

    def __len__(self) -> int:
        return len(self._members)

    def members(self) -> tuple[Transport, ...]:
        """Return all members in order of joining; the tuple is rebuilt only after a change."""
        snapshot = self._snapshot
        if snapshot is None:
            # One C call under the interpreter's lock: complete, whatever other threads do.
            snapshot = self._snapshot = tuple(self._members)
        return snapshot

    def add(self, member: Transport) -> None:
        """Add `member`; only `Groups` calls this, under its lock."""
        self._members[member] = None
        self._snapshot = None

    def remove(self, member: Transport) -> None:
        """Remove `member`, if present; only `Groups` calls this, under its lock."""
        self._members.pop(member, None)
        self._snapshot = None

    def broadcast(self, frame: bytes, exclude: Transport | None = None) -> None:
        """Queue one frame for every member but `exclude`; never waits."""
        if not self.pending:
            self._flush_queue.add_group(self)

        if exclude is not None and exclude.group is self:
            # `exclude` takes the earlier frames, then counts this frame as taken.
            exclude.take_pending()
            exclude.mark += 1

        self.pending.append(frame)
        self._pending_bytes += len(frame)
        if self._pending_bytes > _FLUSH_BYTES:
            self.flush()

    def broadcast_all(self, frames: list[bytes]) -> None:
        """Queue some frames for every member; never waits."""
        if not self.pending:
            self._flush_queue.add_group(self)
        self.pending.extend(frames)
        self._pending_bytes += sum(map(len, frames))
        if self._pending_bytes > _FLUSH_BYTES:
            self.flush()

    def write_each(self, frame: bytes, exclude: Transport | None) -> None:
        """Queue one frame in the outbox of every member but `exclude`; never waits."""
        member = None
        rest = iter(self.members())

        while True:
            try:
                for member in rest:
                    if member is not exclude:
                        member.write_shared(frame)
                return
            except BaseException as exc:  # noqa: BLE001
                # The remaining members still get the frame.
                assert member is not None
                member.failed(exc)

    def flush(self) -> None:
        """Send the pending frames to every member."""
        pending = self.pending
        if not pending:
            return

        self.pending = []
        self._pending_bytes = 0
        joined = pending[0] if len(pending) == 1 else b"".join(pending)

        member = None
        rest = iter(self.members())
        while True:
            try:
                for member in rest:
                    if not member.mark:
                        member.sent_messages += len(pending)
                        member.write_joined(joined)
                    else:
                        taken, member.mark = member.mark, 0
                        if taken < len(pending):
                            member.sent_messages += len(pending) - taken
                            member.write_joined(b"".join(pending[taken:]))
                return
            except BaseException as exc:  # noqa: BLE001
                # The remaining members still get the frame.
                assert member is not None
                member.failed(exc)

    def failed(self, error: BaseException) -> None:
        """Log a bug of this package that concerns no single member."""
        mishaps.report(logger, "broadcasts to %.200r failed", self.name, error=error)


class Groups:
    """Groups by name; a group exists only while it has members.

    Locks: `_lock` guards `_groups` and every group's members; nothing else is touched under it.
    """

    def __init__(self, flush_queue: FlushQueue) -> None:
        self._flush_queue = flush_queue
        self._lock = allocate_lock()
        self._groups: dict[str, Group] = {}

    def __len__(self) -> int:
        return len(self._groups)

    def get(self, name: str) -> Group | None:
        """Return the group `name`, None if it has no members."""
        return self._groups.get(name)

    def names(self) -> list[str]:
        """Return the names of all groups."""
        with self._lock:
            return list(self._groups)

    def count(self, name: str) -> int:
        """Count the members of a group."""
        group = self._groups.get(name)
        return 0 if group is None else len(group)

    def add(self, name: str, member: Transport) -> Group:
        """Add `member` to the group `name`, created if needed; harmless when repeated."""
        with self._lock:
            group = self._groups.get(name)
            if group is None:
                group = self._groups[name] = Group(name, self._flush_queue)
            group.add(member)
        return group

    def remove(self, group: Group, member: Transport) -> None:
        """Remove `member`, and the group with its last member; harmless if it isn't a member."""
        with self._lock:
            group.remove(member)
            if not len(group) and self._groups.get(group.name) is group:
                del self._groups[group.name]
