"""The SQLite file under a journal: opened when needed, and looked at before each use.

SQLite knows of torn ends, of the locks of dead processes and of crashes. What it doesn't know is
checked here: whether the file was deleted or replaced since it was opened; whether it is a copy, as
from a backup, whose numbers have been used; and whether the machine was started anew, behind which
the file may lack its last transactions, since nothing is synced to the disk.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from typing import TYPE_CHECKING, TypeVar

from ..errors import JournalError
from .contract import VERSION
from .positions import new_epoch

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

PATIENCE_S = 0.05
"""How long a transaction waits for that of another process, which takes a thirtieth of a
millisecond: one that holds the file for longer stands still.
"""

_BUSY = ("locked", "busy")
_BROKEN = ("malformed", "not a database", "encrypted")
_BOOT_ID = "/proc/sys/kernel/random/boot_id"

_TABLES = """
CREATE TABLE meta (
    epoch TEXT NOT NULL, top INTEGER NOT NULL, dropped INTEGER NOT NULL, floor INTEGER NOT NULL,
    copy_id INTEGER NOT NULL, place TEXT NOT NULL
);
CREATE TABLE rows (
    n INTEGER PRIMARY KEY, first INTEGER NOT NULL, topic TEXT NOT NULL, said_at REAL NOT NULL,
    until REAL NOT NULL, authors TEXT NOT NULL, frames BLOB NOT NULL
);
CREATE INDEX rows_of_topic ON rows (topic, n, first);
CREATE TABLE floors (topic TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE said (key TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE declared (
    kind INTEGER NOT NULL, pattern TEXT NOT NULL, most INTEGER NOT NULL, longest_s REAL NOT NULL,
    replay INTEGER NOT NULL, PRIMARY KEY (kind, pattern)
) WITHOUT ROWID;
"""


class Database:
    """One file.

    Args:
        path: in a private folder.
        make_folder: makes that folder, or raises OSError.

    Threads: one at a time. Processes: a child that was forked opens the file anew.
    """

    def __init__(self, path: str, make_folder: Callable[[], None]) -> None:
        self.path = path
        self._make_folder = make_folder
        self._connection: sqlite3.Connection | None = None
        self._identity = (0, 0)
        self._pid = 0

    def read(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `ask` finds in one view of the file.

        Raises:
            JournalError: the file can't be read.
        """
        return self._in_transaction("BEGIN", ask)

    def write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Make changes, all or none.

        Raises:
            JournalError: the file can't be written, or another process holds it for too long.
        """
        return self._in_transaction("BEGIN IMMEDIATE", change)

    def close(self) -> None:
        """Close the file; the next use opens it."""
        connection, self._connection = self._connection, None
        if connection is not None and self._pid == os.getpid():
            try:
                connection.close()
            except sqlite3.Error:
                pass  # its disk may be gone

    def remove(self) -> None:
        """Remove a file that is broken, so that the next use makes a new one."""
        self.close()
        for ending in ("", "-wal", "-shm"):
            try:
                os.unlink(self.path + ending)
            except OSError:
                pass  # another process was first

    def _in_transaction(self, begin: str, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = self._opened()
            _patiently(lambda: connection.execute(begin))
            try:
                found = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except (sqlite3.Error, OSError) as exc:
            self._failed(exc)
            raise JournalError(f"{self.path} can't be used: {exc}") from exc
        return found

    def _failed(self, error: Exception) -> None:
        if any(word in str(error) for word in _BROKEN):
            self.remove()
        elif not any(word in str(error) for word in _BUSY):
            self.close()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None:
            if self._pid != os.getpid():
                self._connection = None  # it is the parent's; even to close it is not ours
            elif self._identity_of_path() != self._identity:
                self.close()
        if self._connection is None:
            self._connection = self._open()
        return self._connection

    def _identity_of_path(self) -> tuple[int, int]:
        try:
            status = os.stat(self.path)
        except OSError:
            return (0, 0)
        return status.st_dev, status.st_ino

    def _open(self) -> sqlite3.Connection:
        self._make_folder()
        # The caller sees to it that one thread at a time uses it.
        connection = sqlite3.connect(
            self.path, timeout=0, isolation_level=None, check_same_thread=False
        )
        try:
            _patiently(lambda: connection.execute("PRAGMA journal_mode=WAL"))
            connection.execute("PRAGMA synchronous=OFF")
            self._pid, self._identity = os.getpid(), self._identity_of_path()
            self._check(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, connection: sqlite3.Connection) -> None:
        """Make the tables where there are none; begin a new epoch in a copy, or behind a start."""
        place = ":".join([*map(str, self._identity), _boot_id()])
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found == VERSION:
            row = connection.execute("SELECT place FROM meta").fetchone()
            if row is not None and row[0] == place:
                return

        _patiently(lambda: connection.execute("BEGIN IMMEDIATE"))
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found not in (0, VERSION):
            connection.execute("ROLLBACK")
            raise sqlite3.OperationalError(f"it has tables of version {found}, expected {VERSION}")
        if not found:
            for statement in _TABLES.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={VERSION}")
            connection.execute("INSERT INTO meta VALUES ('', 0, 0, 0, 0, '')")
        connection.execute(
            "UPDATE meta SET epoch=?, copy_id=?, place=? WHERE place!=?",
            (new_epoch(), secrets.randbits(62), place, place),
        )
        connection.execute("COMMIT")


def _patiently(attempt: Callable[[], object]) -> None:
    """Try again while another process holds the file, for at most `PATIENCE_S`.

    SQLite's own way to wait sleeps a millisecond at least, in which the hub would stand still.
    """
    give_up_at_s = time.perf_counter() + PATIENCE_S
    while True:
        try:
            attempt()
            return
        except sqlite3.OperationalError as exc:
            is_busy = any(word in str(exc) for word in _BUSY)
            if not is_busy or time.perf_counter() > give_up_at_s:
                raise
        os.sched_yield()


def _boot_id() -> str:
    try:
        with open(_BOOT_ID, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
