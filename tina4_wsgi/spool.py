"""Where the workers of one app put their numbers together: a private folder with a file of each.

How it works. Each worker holds a lock on a file of its own for as long as it lives, and writes its numbers beside
it about once a second. Whoever is asked for all numbers adds up the files. A lock that can be taken belonged to a
worker that has ended, however it did: its counters are moved into a common file, so that sums never shrink when
workers are replaced, and its gauges are forgotten. When nobody was alive any more, a new worker begins anew.

An editor keeps true: whoever looks at others' files holds the folder's lock; a file appears under its name whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import gevent

from . import jsontext
from .errors import ConfigError
from .metrics import Sums

_BASE = "/tmp"  # not TMPDIR: workers that were started in different ways must meet
_FOLDER_LOCK = "folder"
_PAST = "past.json"
_LOCK, _DATA = ".lock", ".json"
_PATIENCE_S = 2.0  # how long others may hold the folder, which takes them a millisecond
_POLL_S = 0.005


class Told(NamedTuple):
    """What one worker has told.

    Attributes:
        sums: its numbers.
        about: whatever else it wrote.
    """

    sums: Sums
    about: dict[str, Any]


def default_folder(root: str | os.PathLike[str]) -> str:
    """Give the folder of the project at `root`, for the current user."""
    project = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:16]
    return os.path.join(_BASE, f"tina4-wsgi-{os.geteuid()}", f"{project}.metrics")


class Spool:
    """One worker's place in the folder; taken when first used.

    Args:
        folder: made if need be; must be this user's own.
    Greenlets: `others` and the first `write` may wait a moment; one at a time.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._name = f"{os.getpid()}-{secrets.token_hex(8)}"
        self._lock_fd = -1

    def write(self, sums: Sums, about: dict[str, Any]) -> None:
        """Put this worker's numbers in place of its earlier ones.

        Raises:
            ConfigError: the folder is somebody else's.
            OSError: the disk won't take it, or others hold the folder for too long.
        """
        self._open()
        self._put(self._name + _DATA, sums, about)

    def others(self) -> tuple[list[Told], Sums]:
        """Give what the other workers told last, and the counters of those that have ended.

        Raises:
            ConfigError, OSError: as `write`.
        """
        self._open()
        with self._whole_folder():
            names = {name.removesuffix(_LOCK) for name in os.listdir(self._folder) if name.endswith(_LOCK)}
            ended = [name for name in names - {self._name} if self._has_ended(name)]
            past = self._fold(ended)
            alive = [told for name in names - {self._name, *ended} if (told := self._get(name + _DATA)) is not None]
        return alive, past

    def close(self) -> None:
        """Leave the folder; what was written last counts on."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _open(self) -> None:
        if self._lock_fd >= 0:
            return
        _make_private(self._folder)
        with self._whole_folder():
            if self._lock_fd >= 0:
                return  # another greenlet did it meanwhile
            names = os.listdir(self._folder)
            if all(self._has_ended(name.removesuffix(_LOCK)) for name in names if name.endswith(_LOCK)):
                for name in set(names) - {_FOLDER_LOCK}:
                    os.unlink(self._place(name))
            fd = os.open(self._place(self._name + _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX)
            self._lock_fd = fd

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
                        raise TimeoutError(f"{self._folder} was locked for {_PATIENCE_S:g} s") from None
                    gevent.sleep(_POLL_S)
            yield
        finally:
            os.close(fd)

    def _has_ended(self, name: str) -> bool:
        fd = os.open(self._place(name + _LOCK), os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(fd)
        return True

    def _fold(self, ended: list[str]) -> Sums:
        """Move the counters of workers that have ended into the common file."""
        told = self._get(_PAST)
        past = Sums() if told is None else told.sums
        for name in ended:
            last = self._get(name + _DATA)
            if last is not None:
                past.add(last.sums)
        if ended:
            past.gauges.clear()
            self._put(_PAST, past, {})
        for name in ended:
            for ending in (_DATA, _LOCK):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._place(name + ending))
        return past

    def _get(self, name: str) -> Told | None:
        try:
            with open(self._place(name), "rb") as file:
                data = jsontext.decode(file.read())
            return Told(Sums.from_dict(data["sums"]), dict(data["about"]))
        except FileNotFoundError:
            return None  # it has not written yet
        except (KeyError, TypeError, ValueError):
            return None  # of another version, during an upgrade

    def _put(self, name: str, sums: Sums, about: dict[str, Any]) -> None:
        text = jsontext.encode({"sums": sums.as_dict(), "about": about})
        unfinished = self._place(f".{self._name}.new")
        with open(unfinished, "wb", opener=_private) as file:
            file.write(text.encode())
        os.replace(unfinished, self._place(name))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _make_private(folder: str) -> None:
    """Make the folder and its parent, and see that nobody else may write there."""
    parent = os.path.dirname(folder)
    if os.path.dirname(parent) == _BASE:
        _make_one(parent)
    _make_one(folder)


def _make_one(folder: str) -> None:
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    except OSError as exc:
        raise ConfigError(f"metrics_dir: can't make {folder!r}: {exc.strerror}") from exc
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise ConfigError(f"metrics_dir: {folder!r}, expected a folder that this user alone may write to")
