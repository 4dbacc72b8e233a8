"""A private folder in which each worker of an app writes its numbers, to be added up.

How it works. Each worker holds a lock on a file of its own while it lives, and writes its numbers
beside that file about once a second. A worker that is asked for all numbers adds up the files. A
lock that can be taken belonged to a worker that has ended, in whichever way: its counters move to a
common file, so that sums never shrink when workers are replaced, and its gauges are dropped. If no
worker was alive for an hour, a new one starts from zero.

Files may vanish: a cleaner of temporary folders removes one, or all. A worker that misses its own
files writes them again, with what it knows of workers that have ended. Meanwhile there are no sums,
because they would be too small.

Invariants: a worker that reads the files of others holds the folder's lock; a file appears under
its name whole; a living worker has both of its files, or writes them again within `CHECK_S`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from typing import TYPE_CHECKING, NamedTuple

import gevent

from .. import jsontext
from ..backplane.private_folders import NotPrivateError, check_private, make_first
from ..errors import ConfigError
from .metrics import Sums

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..backplane.contract import Facts

CHECK_S = 3.0
"""How often a worker checks that its files are still there."""

_SETTLE_S = 2 * CHECK_S  # once one worker wrote its files again, all others have after this time
_STALE_S = 3_600.0  # longer than any reload leaves an app without workers
_FOLDER_LOCK = "folder"
_MADE_AGAIN = "again"
_PAST = "past.json"
_LOCK, _DATA = ".lock", ".json"
_PATIENCE_S = 2.0  # how long to wait for the folder's lock, which is held for a millisecond
_POLL_S = 0.005
_FORBIDDEN = 0o022  # numbers are no secret, so an administrator's folder may be readable


class Told(NamedTuple):
    """What one worker has told.

    Attributes:
        sums: its numbers.
        about: everything else that it wrote.
    """

    sums: Sums
    about: Facts


class WorkerFiles:
    """The files of one worker; they are made when first used.

    Args:
        folders: where they may be, the preferred folder first. It is made if it is missing, and
            must belong to this user.
    Greenlets: `others` and the first `write` may wait a moment; one at a time.
    """

    def __init__(self, *folders: str) -> None:
        self._folders = folders
        self._folder = folders[-1]
        self._name = f"{os.getpid()}-{secrets.token_hex(8)}"
        self._lock_fd = -1
        self._has_joined = False
        self._past = Sums()  # the counters of workers that have ended, as far as known
        self._past_stamp = (0, 0)

    def write(self, sums: Sums, about: Facts) -> None:
        """Replace this worker's earlier numbers.

        Raises:
            ConfigError: the folder is another user's.
            OSError: writing failed, or others held the folder's lock for too long.
        """
        self._open(sums, about)
        self._put(self._name + _DATA, sums, about)
        self._look_at_past()

    def others(self) -> tuple[list[Told], Sums]:
        """Return what the other workers told last, and the counters of those that have ended.

        Raises:
            ConfigError: as `write`.
            OSError: as `write`; or files of living workers are missing, which write them again
                soon.
        """
        self._open(Sums(), {"pid": os.getpid()})
        with self._whole_folder():
            self._check_settled()
            names = self._names() - {self._name}
            ended = {name for name in names if self._has_ended(name)}
            past = self._fold(ended)
            alive = [
                told for name in names - ended if (told := self._get(name + _DATA)) is not None
            ]
        return alive, past

    def is_whole(self) -> bool:
        """Return whether this worker's files are where it put them; doesn't wait."""
        try:
            lock = os.stat(self._place(self._name + _LOCK))
            os.stat(self._place(self._name + _DATA))
            return self._lock_fd >= 0 and os.path.samestat(lock, os.fstat(self._lock_fd))
        except OSError:
            return False

    def touch(self) -> None:
        """Show that this worker lives, even if it has nothing to write."""
        with contextlib.suppress(OSError):
            os.utime(self._place(self._name + _LOCK))

    def close(self) -> None:
        """Leave the folder; the last numbers written still count."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    # -- joining

    def _open(self, sums: Sums, about: Facts) -> None:
        if self._lock_fd >= 0:
            if self.is_whole():
                return
            self.close()

        self._choose_folder()
        with self._whole_folder():
            if self._lock_fd >= 0:
                return  # another greenlet did it meanwhile
            if self._has_joined and not os.path.exists(self._place(self._name + _LOCK)):
                self._bring_past_along()

            names = self._names()
            ended = {name for name in names if self._has_ended(name)}
            if ended == names and self._is_stale():
                self._clear()
            else:
                self._fold(ended - {self._name})

            fd = os.open(
                self._place(self._name + _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
            fcntl.flock(fd, fcntl.LOCK_EX)
            self._lock_fd, self._has_joined = fd, True
            self._put(self._name + _DATA, sums, about)

    def _choose_folder(self) -> None:
        """Take the folder with living workers, or else the first that can be made."""
        for folder in self._folders:
            self._folder = folder
            if self._is_lived_in():
                return

        try:
            self._folder = make_first(self._folders, _FORBIDDEN)
        except NotPrivateError as exc:
            raise ConfigError(
                f"metrics_dir: {exc}; expected a folder that this user alone may write to"
            ) from None
        except OSError as exc:
            raise ConfigError(f"metrics_dir: can't make {self._folder!r}: {exc.strerror}") from None

    def _is_lived_in(self) -> bool:
        try:
            check_private(self._folder, _FORBIDDEN)
            return any(not self._has_ended(name) for name in self._names())
        except (NotPrivateError, OSError):
            return False

    def _is_stale(self) -> bool:
        """Return whether no worker has written here for long."""
        newest_s = 0.0
        for name in os.listdir(self._folder):
            with contextlib.suppress(FileNotFoundError):
                if name != _FOLDER_LOCK:
                    newest_s = max(newest_s, os.stat(self._place(name)).st_mtime)
        return time.time() - newest_s > _STALE_S

    def _clear(self) -> None:
        for name in set(os.listdir(self._folder)) - {_FOLDER_LOCK}:
            os.unlink(self._place(name))
        self._past, self._past_stamp = Sums(), (0, 0)

    def _bring_past_along(self) -> None:
        """Note that files were missing, and write again what is known of ended workers."""
        with open(self._place(_MADE_AGAIN), "wb", opener=_private):
            os.utime(self._place(_MADE_AGAIN))
        told = self._get(_PAST)
        self._past = self._past if told is None else _larger(self._past, told.sums)
        self._put(_PAST, self._past, {})

    # -- looking at others

    def _names(self) -> set[str]:
        """Return the names of all workers with a file, even if their lock was removed."""
        names = set()
        for name in os.listdir(self._folder):
            stem, ending = os.path.splitext(name)
            if ending in (_LOCK, _DATA) and name != _PAST and not name.startswith("."):
                names.add(stem)
        return names

    def _check_settled(self) -> None:
        try:
            age_s = time.time() - os.stat(self._place(_MADE_AGAIN)).st_mtime
        except FileNotFoundError:
            return
        if 0 <= age_s < _SETTLE_S:
            raise OSError(
                f"files in {self._folder} were missing, and the workers are putting them back"
            )

    def _place(self, name: str) -> str:
        return os.path.join(self._folder, name)

    @contextlib.contextmanager
    def _whole_folder(self) -> Iterator[None]:
        fd = os.open(self._place(_FOLDER_LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        give_up_at_s = time.monotonic() + _PATIENCE_S
        try:
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > give_up_at_s:
                        raise TimeoutError(
                            f"{self._folder} was locked for {_PATIENCE_S:g} s"
                        ) from None
                    gevent.sleep(_POLL_S)
            yield
        finally:
            os.close(fd)

    def _has_ended(self, name: str) -> bool:
        try:
            fd = os.open(self._place(name + _LOCK), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return not _is_alive(name)  # somebody has removed it
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(fd)
        return True

    def _fold(self, ended: set[str]) -> Sums:
        """Move the counters of workers that have ended to the common file, and return its sums."""
        told = self._get(_PAST)
        past = Sums() if told is None else told.sums
        for name in ended:
            last = self._get(name + _DATA, may_be_missing=True)
            if last is not None:
                past.add(last.sums)

        if ended:
            past.gauges.clear()
            past.highest.clear()
            self._put(_PAST, past, {})
        for name in ended:
            for ending in (_DATA, _LOCK):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._place(name + ending))

        self._look_at_past()
        return past

    def _look_at_past(self) -> None:
        """Remember the counters of workers that have ended, in case the file vanishes."""
        try:
            found = os.stat(self._place(_PAST))
        except OSError:
            return

        stamp = (found.st_ino, found.st_mtime_ns)
        if stamp != self._past_stamp and (told := self._get(_PAST)) is not None:
            self._past, self._past_stamp = told.sums, stamp

    def _get(self, name: str, *, may_be_missing: bool = False) -> Told | None:
        """Read a file; None if it is missing or, during an upgrade, of another version.

        Raises:
            OSError: the file is missing, although its worker lives.
        """
        try:
            with open(self._place(name), "rb") as file:
                data = jsontext.decode(file.read())
            return Told(Sums.from_dict(data["sums"]), dict(data["about"]))
        except FileNotFoundError:
            if may_be_missing or name == _PAST:
                return None
            raise
        except (KeyError, TypeError, ValueError):
            return None

    def _put(self, name: str, sums: Sums, about: Facts) -> None:
        text = jsontext.encode({"sums": sums.as_dict(), "about": about})
        unfinished = self._place(f".{self._name}.new")
        with open(unfinished, "wb", opener=_private) as file:
            file.write(text.encode())
        os.replace(unfinished, self._place(name))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _is_alive(name: str) -> bool:
    """Return whether the process lives whose id begins a worker's name."""
    try:
        os.kill(int(name.partition("-")[0]), 0)
    except PermissionError:
        return True
    except (OSError, OverflowError, ValueError):
        return False
    return True


def _larger(one: Sums, other: Sums) -> Sums:
    """Merge two states of the same counters: of each the larger value, since they only grow."""
    merged = Sums()
    merged.add(one)

    for family, values in other.counters.items():
        counters = merged.counters.setdefault(family, {})
        for key, number in values.items():
            counters[key] = max(number, counters.get(key, 0))

    for family, found in other.histograms.items():
        histograms = merged.histograms.setdefault(family, {})
        for key, numbers in found.items():
            mine = histograms.get(key, numbers)
            histograms[key] = [max(pair) for pair in zip(mine, numbers, strict=True)]
    return merged
