"""A small file beside the journal, in which its processes note how far it has come.

A journal file may be replaced by an older copy of itself, or lose what SQLite had yet to move into
it, and nothing in the file shows that. So the number of the latest message is noted here, too: a
journal that has not come as far isn't what it was. The same file notes that a message could not be
kept, for whoever opens the journal after a restart; and its lock lets one process at a time open,
or remove, the journal.
"""

from __future__ import annotations

import fcntl
import os
import struct
from typing import NamedTuple

ENDING = "-seen"

_CONTENT = struct.Struct("<QQB")
_DOUBT_AT = _CONTENT.size - 1


class Noted(NamedTuple):
    """What was noted.

    Attributes:
        copy_id: of the journal's copy.
        number: of its latest message, or of one shortly before.
        is_doubted: whether something may have been said that the journal doesn't have.
    """

    copy_id: int
    number: int
    is_doubted: bool


class Witness:
    """The file.

    Threads: one at a time.
    """

    def __init__(self, path: str) -> None:
        self._path = path + ENDING
        self._descriptor = -1

    def open(self) -> None:
        """Open the file, which is made where there is none.

        Raises:
            OSError: it can't be opened.
        """
        if self._descriptor < 0:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o600)

    def lock(self) -> None:
        """Keep other processes from opening, or removing, the journal.

        Raises:
            BlockingIOError: another process does that now.
        """
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def unlock(self) -> None:
        """Let other processes open the journal."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def read(self) -> Noted | None:
        """Return what was noted; None for nothing."""
        data = os.pread(self._descriptor, _CONTENT.size, 0)
        if len(data) < _CONTENT.size:
            return None
        copy_id, number, is_doubted = _CONTENT.unpack(data)
        return Noted(copy_id, number, bool(is_doubted))

    def note(self, copy_id: int, number: int) -> None:
        """Note how far a copy has come; a doubt stays."""
        self._write(_CONTENT.pack(copy_id, number, 0)[:_DOUBT_AT], 0)

    def doubt(self) -> None:
        """Note that something may be said that the journal doesn't have.

        Works on a full disk: the byte has its place already.
        """
        self._write(b"\1", _DOUBT_AT)

    def believe(self) -> None:
        """Note that a new epoch has begun since."""
        self._write(b"\0", _DOUBT_AT)

    def close(self) -> None:
        """Close the file, and with it release the lock."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _write(self, data: bytes, at: int) -> None:
        if self._descriptor >= 0:
            try:
                os.pwrite(self._descriptor, data, at)
            except OSError:
                pass  # its disk may be gone, or be full before the first note
