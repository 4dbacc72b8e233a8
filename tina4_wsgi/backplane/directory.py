"""Where the processes of one app on one machine find each other: a private folder with a socket of each.

Free of gevent: publishers use it too. All calls are short system calls that don't wait.

An editor keeps true: a socket appears under its name only when it listens, so whoever is refused there may unlink
it; the folder is private and its owner is checked, for the names in it decide who hears everything.
"""

from __future__ import annotations

import _socket  # the raw one, patched or not: what listens is driven by the hub's watchers
import errno
import hashlib
import os
import re
import secrets
import socket
import stat
import struct
import time
from typing import Any

from ..errors import BackplaneError

_BASE = "/tmp"  # not TMPDIR nor XDG_RUNTIME_DIR: a cron job has others than a service, and both must meet here
_LISTEN_BACKLOG = 128
_MOST_ADDRESS_BYTES = 107  # sun_path of Linux, without its final NUL
_NAME = re.compile(r"(?P<app>\d{1,4})-(?P<pid>\d{1,10})-(?P<id>[0-9a-f]{32})\.sock")
_UNFINISHED = re.compile(r"\.[0-9a-f-]+\.new")
_UNFINISHED_S = 60.0
_PEER_CREDENTIALS = struct.Struct("3i")  # struct ucred of SO_PEERCRED: pid, uid, gid


def default_path(root: str | os.PathLike[str]) -> str:
    """Give the folder of the project at `root`, for the current user."""
    project = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:16]
    return os.path.join(_BASE, f"tina4-wsgi-{os.geteuid()}", project)


def socket_name(app_number: int) -> str:
    """Make the name of a new socket of this process."""
    return f"{app_number}-{os.getpid()}-{secrets.token_hex(16)}.sock"


def app_of(name: str) -> int | None:
    """Give the number of the app that a socket's name tells; None if it is no such name."""
    found = _NAME.fullmatch(name)
    return None if found is None else int(found["app"])


def pid_of(name: str) -> int:
    """Give the number of the process that a socket's name tells; 0 if it is no such name."""
    found = _NAME.fullmatch(name)
    return 0 if found is None else int(found["pid"])


def sender_of(name: str) -> bytes:
    """Give the id of the process that a socket's name tells."""
    found = _NAME.fullmatch(name)
    assert found is not None
    return bytes.fromhex(found["id"])


def raw_socket() -> Any:
    """Make a non-blocking UNIX stream socket that no monkey-patching knows."""
    kind = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    return _socket.socket(socket.AF_UNIX, kind)


def peer_uid(sock: Any) -> int:
    """Ask the kernel which user is at the other end of a UNIX socket."""
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
    uid: int = _PEER_CREDENTIALS.unpack(credentials)[1]
    return uid


class BusDirectory:
    """One such folder.

    Args:
        path: of the folder; its parents may be anything, itself must be private.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = -1

    def make(self) -> None:
        """Make the folder if need be, and see that it is private.

        Raises:
            BackplaneError: it can't be made, or isn't this user's alone.
        """
        parent = os.path.dirname(self.path)
        try:
            if os.path.dirname(parent) == _BASE:  # the default: its parent is this user's too
                _make_private(parent)
            else:
                os.makedirs(parent or ".", exist_ok=True)
            _make_private(self.path)
        except OSError as exc:
            raise BackplaneError(f"bus directory {self.path} can't be made: {exc.strerror}") from exc

    def exists(self) -> bool:
        """Whether there is such a folder.

        Raises:
            BackplaneError: there is, but it isn't this user's alone.
        """
        try:
            _check_private(self.path)
        except FileNotFoundError:
            return False
        except OSError as exc:
            raise BackplaneError(f"bus directory {self.path} can't be used: {exc.strerror}") from exc
        return True

    def names(self) -> list[str]:
        """Give the names of all sockets, in order; none if the folder is gone."""
        try:
            found = sorted(os.listdir(self.path))
        except OSError:
            return []
        for name in found:
            if _UNFINISHED.fullmatch(name):
                self._forget_unfinished(name)
        return [name for name in found if _NAME.fullmatch(name)]

    def listen(self, name: str) -> Any:  # Any: `_socket` has no types
        """Open a raw socket that listens under `name`; non-blocking.

        Raises:
            OSError: the folder can't be written.
        """
        unfinished = f".{name.removesuffix('.sock')}.new"
        sock = raw_socket()
        try:
            sock.bind(self._address(unfinished))
            sock.listen(_LISTEN_BACKLOG)
            os.rename(os.path.join(self.path, unfinished), os.path.join(self.path, name))
        except BaseException:
            sock.close()
            raise
        return sock

    def connect(self, name: str, sock: Any) -> bool:
        """Connect `sock`, and see that this same user is at the other end.

        Returns:
            Whether it is connected; not if that process is gone (its socket is unlinked), or too busy to take
            another, or another user's.
        """
        try:
            sock.connect(self._address(name))
        except OSError as exc:
            if exc.errno == errno.ECONNREFUSED:
                self.unlink(name)
            return False
        return peer_uid(sock) == os.geteuid()

    def unlink(self, name: str) -> None:
        """Take a socket's name away; harmless if it is gone."""
        try:
            os.unlink(os.path.join(self.path, name))
        except OSError:
            pass

    def close(self) -> None:
        """Give the descriptor back that long paths need."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _address(self, name: str) -> str:
        """Give an address short enough for the kernel."""
        address = os.path.join(self.path, name)
        if len(os.fsencode(address)) <= _MOST_ADDRESS_BYTES:
            return address
        if self._fd < 0:
            self._fd = os.open(self.path, os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._fd}/{name}"

    def _forget_unfinished(self, name: str) -> None:
        """Remove what a process left that died between binding and listening."""
        try:
            age_s = time.time() - os.lstat(os.path.join(self.path, name)).st_mtime
        except OSError:
            return
        if age_s > _UNFINISHED_S:
            self.unlink(name)


def _make_private(path: str) -> None:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    _check_private(path)


def _check_private(path: str) -> None:
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode):
        raise BackplaneError(f"bus directory {path} is no directory, expected one of mode 0700")
    if status.st_uid != os.geteuid():
        raise BackplaneError(
            f"bus directory {path} belongs to user {status.st_uid}, expected {os.geteuid()}: "
            "run this as that user, or name another with TINA4_WS_BUS_DIR"
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise BackplaneError(f"bus directory {path} has mode {mode:04o}, expected 0700: chmod 700 {path}")
