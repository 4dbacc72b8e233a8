"""The SQLite file under a journal: opened when needed, and looked at before each use.

SQLite knows of torn ends, of the locks of dead processes and of crashes. What it doesn't know is
checked here: whether one of its files was deleted or replaced since it was opened; whether it is an
older copy, as from a backup, whose numbers have been used; and whether the machine was started
anew, behind which the file may lack its last transactions, since nothing is synced to the disk.

Invariant: no connection crosses a fork. SQLite would take the locks of the parent for the child's,
and the last process to close the file would delete what the child has written.
"""

from __future__ import annotations

import _thread
import os
import secrets
import signal
import sqlite3
import sys
import time
import weakref
from typing import TYPE_CHECKING, TypeVar

from ..errors import JournalError
from .contract import VERSION
from .positions import new_epoch
from .witness import Witness

if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable

T = TypeVar("T")

PATIENCE_S = 0.25
"""How long a transaction waits for that of another process, which takes a thirtieth of a
millisecond, or longer where it has to wait for a processor itself.
"""

_IMPATIENCE_S = 0.02
"""The same where the last one has waited in vain: whoever holds the file stands still."""

_YIELDS = 20
_NAP_S = 0.000_3

_NOTE_S = 0.05
"""How often it is noted how far the journal has come: a copy that is older by less passes."""

_FORK_PATIENCE_S = 1.0

_BUSY = ("locked", "busy")
_BROKEN = ("malformed", "not a database", "encrypted")
_BOOT_ID = "/proc/sys/kernel/random/boot_id"

_TABLES = """
CREATE TABLE meta (
    epoch TEXT NOT NULL, top INTEGER NOT NULL, dropped INTEGER NOT NULL, cuts INTEGER NOT NULL,
    floor INTEGER NOT NULL, copy_id INTEGER NOT NULL, place TEXT NOT NULL
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

TOP = "max(top, coalesce((SELECT max(n) FROM rows), 0))"
"""The last number that was given. In `meta` only that of rows which were dropped: to write it with
each message would take a quarter of a transaction.
"""


class Database:
    """One file.

    Args:
        path: in a private folder.
        make_folder: makes that folder, or raises OSError.
        on_open: called with each new connection, outside of a transaction.

    Threads: one at a time. Processes: a child that was forked opens the file anew.
    """

    def __init__(
        self,
        path: str,
        make_folder: Callable[[], None],
        on_open: Callable[[sqlite3.Connection], None],
    ) -> None:
        self.path = path
        self._make_folder = make_folder
        self._on_open = on_open
        self._connection: sqlite3.Connection | None = None
        self._witness = Witness(path)
        self._identity = (0, 0)
        self._beside: list[int] = []  # descriptors of the files beside it, see `_is_whole`
        self._pid = 0
        self._patience_s = PATIENCE_S
        self._noted = (0, 0)
        self._note_at_s = 0.0
        _forks.databases.add(self)

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

    def erase(self) -> None:
        """Leave nothing in the files of what was deleted.

        Deleted rows are overwritten where they stood, but pages that were moved together may hold a
        second copy of them, and the WAL holds what pages were before. So the file is written anew,
        and the WAL emptied.

        Raises:
            JournalError: that can't be done, as while another process reads or writes for too long.
        """
        with _forks.lock:
            try:
                connection = self._opened()
                _patiently(lambda: connection.execute("VACUUM"))
                _patiently(lambda: _empty_wal(connection))
            except (sqlite3.Error, OSError) as exc:
                raise JournalError(
                    f"all is dropped, but {self.path} can't be written anew, and may still hold "
                    f"the bytes; expected to do so, forget it again: {exc}"
                ) from exc

    def note(self, copy_id: int, number: int) -> None:
        """Note how far a copy has come, behind the transaction; see `Witness`."""
        self._noted = copy_id, number
        now_s = time.perf_counter()
        if now_s >= self._note_at_s:
            self._note_at_s = now_s + _NOTE_S
            self._witness.note(copy_id, number)

    def believe(self) -> None:
        """Note that a new epoch has begun; see `Witness`."""
        self._witness.believe()

    def close(self) -> None:
        """Close the file; the next use opens it."""
        with _forks.lock:
            self._close()

    def leave(self) -> None:
        """Close the file before a fork; the caller has the lock."""
        self._close()

    def _close(self) -> None:
        while self._beside:
            os.close(self._beside.pop())
        connection, self._connection = self._connection, None
        if connection is not None:
            if self._identity == _identity_of(self.path):
                self._witness.note(*self._noted)
            try:
                connection.close()
            except sqlite3.Error:
                pass  # its disk may be gone
        self._witness.close()

    def _remove(self) -> None:
        """Remove a file that is broken, so that the next use makes a new one."""
        identity = self._identity
        self._close()
        try:
            self._witness.open()
            self._witness.lock()
            # Another process may have been first.
            if identity == _identity_of(self.path):
                for ending in ("-shm", "-wal", ""):
                    _unlink(self.path + ending)
        except OSError:
            pass  # another process opens it, and finds out
        finally:
            self._witness.close()

    def _in_transaction(self, begin: str, work: Callable[[sqlite3.Connection], T]) -> T:
        with _forks.lock:
            try:
                connection = self._opened()
                found = _patiently(lambda: _transact(connection, begin, work), self._patience_s)
                self._patience_s = PATIENCE_S
                return found
            except (sqlite3.Error, OSError) as exc:
                # Whoever called goes on without the journal, and may say what it doesn't have.
                self._witness.doubt()
                self._failed(exc)
                raise JournalError(f"{self.path} can't be used: {exc}") from exc

    def _failed(self, error: Exception) -> None:
        if any(word in str(error) for word in _BROKEN):
            self._remove()
        elif _is_busy(error):
            self._patience_s = _IMPATIENCE_S
        else:
            self._close()

    def _opened(self) -> sqlite3.Connection:
        connection = self._connection
        if connection is not None and not self._is_whole():
            self._close()
            connection = None
        if connection is None:
            connection = self._connection = self._open()
        return connection

    def _is_whole(self) -> bool:
        """Whether this process has the file open that is there, and the two beside it."""
        if self._pid != os.getpid() or self._identity != _identity_of(self.path):
            return False
        # Tidy tools may delete these alone; asking a descriptor costs a tenth of asking a path.
        return all(os.fstat(descriptor).st_nlink for descriptor in self._beside)

    def _open(self) -> sqlite3.Connection:
        self._make_folder()
        self._witness.open()
        _patiently(self._witness.lock)
        try:
            return self._open_alone()
        finally:
            self._witness.unlock()

    def _open_alone(self) -> sqlite3.Connection:
        """Open the file, while no other process opens it or removes it."""
        if not os.path.exists(self.path):
            # Left by a file that was deleted alone: SQLite would take its index for the new one's.
            _unlink(self.path + "-shm")
            _unlink(self.path + "-wal")
        # The caller sees to it that one thread at a time uses it.
        connection = sqlite3.connect(
            self.path, timeout=0, isolation_level=None, check_same_thread=False
        )
        try:
            self._pid, self._identity = os.getpid(), _identity_of(self.path)
            _patiently(lambda: connection.execute("PRAGMA journal_mode=WAL"))
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute("PRAGMA secure_delete=ON")
            connection.execute("PRAGMA temp_store=MEMORY")
            self._check(connection)
            self._on_open(connection)
            # O_PATH: closing any other descriptor of a file ends the locks that SQLite has on it.
            flags = os.O_PATH | os.O_CLOEXEC
            self._beside = [os.open(self.path + ending, flags) for ending in ("-wal", "-shm")]
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, connection: sqlite3.Connection) -> None:
        """Make the tables where there are none; begin a new epoch in a copy, or behind a start."""
        place = ":".join([*map(str, self._identity), _boot_id()])
        seen = self._witness.read()
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, VERSION):
            raise sqlite3.OperationalError(
                f"it has tables of version {version}, which a later version of tina4_wsgi wrote, "
                f"expected {VERSION}; run that one, or move the file away"
            )
        if not version:
            _transact(connection, "BEGIN IMMEDIATE", _make_tables)
        _, copy_id, number, found = meta(connection)
        is_same = found == place and (
            seen is not None and seen.copy_id == copy_id and seen.number <= number
        )
        if is_same and seen is not None and not seen.is_doubted:
            self._noted = copy_id, number
            return

        if not is_same:
            if version:
                _check_soundness(connection)
            copy_id = secrets.randbits(62)
        _transact(
            connection,
            "BEGIN IMMEDIATE",
            lambda one: one.execute(
                "UPDATE meta SET epoch=?, copy_id=?, place=?", (new_epoch(), copy_id, place)
            ),
        )
        self._noted = copy_id, number
        self._witness.note(copy_id, number)
        self._witness.believe()


def _native_lock() -> LockType:
    """Return a lock that blocks the native thread, also under gevent, which isn't loaded for it."""
    monkey = sys.modules.get("gevent.monkey")
    allocate = (
        _thread.allocate_lock if monkey is None else monkey.get_original("_thread", "allocate_lock")
    )
    lock: LockType = allocate()
    return lock


class _ForkGuard:
    """Closes all files before this process forks, and has their users wait meanwhile.

    Lock: `lock` is held in each transaction; nothing in one waits for more than `PATIENCE_S`.
    """

    def __init__(self) -> None:
        self.lock = _native_lock()
        self.databases: weakref.WeakSet[Database] = weakref.WeakSet()
        self._is_held = False
        os.register_at_fork(
            before=self._before, after_in_parent=self._after, after_in_child=self._after
        )

    def _before(self) -> None:
        # With a limit: a signal's handler may fork in the middle of a transaction.
        self._is_held = self.lock.acquire(True, _FORK_PATIENCE_S)
        if self._is_held:
            for database in list(self.databases):
                database.leave()

    def _after(self) -> None:
        is_held, self._is_held = self._is_held, False
        if is_held:
            self.lock.release()


_forks = _ForkGuard()


def _transact(
    connection: sqlite3.Connection, begin: str, work: Callable[[sqlite3.Connection], T]
) -> T:
    connection.execute(begin)
    try:
        found = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return found


def _empty_wal(connection: sqlite3.Connection) -> None:
    """Move everything from the WAL into the file, and cut it to nothing.

    Raises:
        sqlite3.OperationalError: somebody still reads in it.
    """
    is_busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if is_busy:
        raise sqlite3.OperationalError("database is locked by a reader")


def _make_tables(connection: sqlite3.Connection) -> None:
    for statement in _TABLES.split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version={VERSION}")
    connection.execute("INSERT INTO meta VALUES ('', 0, 0, 0, 0, 0, '')")


def meta(connection: sqlite3.Connection) -> tuple[str, int, int, str]:
    """Return the epoch, the copy's id, the number of the latest message, and the place.

    Raises:
        sqlite3.DatabaseError: the file doesn't hold them.
    """
    row = connection.execute(f"SELECT epoch, copy_id, {TOP}, place FROM meta").fetchone()
    if row is None:
        raise sqlite3.DatabaseError("malformed: it doesn't say where it is")
    epoch, copy_id, number, place = row
    return epoch, copy_id, number, place


def _check_soundness(connection: sqlite3.Connection) -> None:
    """Check a file that may be a mixture: of a copy, or of what a crash has left.

    Raises:
        sqlite3.DatabaseError: it is unsound.
    """
    found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(f"malformed: {found}")


def _identity_of(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return (0, 0)
    return status.st_dev, status.st_ino


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # another process was first


def _is_busy(error: Exception) -> bool:
    if isinstance(error, BlockingIOError):
        return True
    return any(word in str(error) for word in _BUSY)


def _patiently(attempt: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """Try again while another process holds the file, for at most `patience_s`.

    SQLite's own way to wait begins with a millisecond, in which the hub would stand still.
    """
    give_up_at_s, yields = time.perf_counter() + patience_s, _YIELDS
    while True:
        try:
            return attempt()
        except (sqlite3.OperationalError, BlockingIOError) as exc:
            if not _is_busy(exc) or time.perf_counter() > give_up_at_s:
                raise
        if yields:
            yields -= 1
            os.sched_yield()
        else:
            # A nap of the whole thread, whatever gevent has made of `time.sleep`.
            signal.sigtimedwait((), _NAP_S)


def _boot_id() -> str:
    try:
        with open(_BOOT_ID, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
