"""Private folders in which the processes of one app on one machine find each other's sockets.

A process listens in the first usable folder and looks for others in all of them, since the
preferred one may come and go while processes live; see `private_folders`.

Free of gevent: publishers from outside use it too. Every call is a short system call that doesn't
wait.

Invariants: a socket appears under its name only once it listens, so a process whose connection is
refused may unlink it. The folder is private and its owner is checked, because the names in it
decide who hears everything.
"""

from __future__ import annotations

import _socket  # the raw one, patched or not: the hub's watchers drive the listener
import contextlib
import errno
import os
import re
import secrets
import socket
import struct
import time
from typing import TYPE_CHECKING

from ...errors import BackplaneError
from ..private_folders import NotPrivateError, check_private, default_places, make_first

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...config import Config

_LISTEN_BACKLOG = 128
_MOST_ADDRESS_BYTES = 107  # sun_path of Linux, without its final NUL
_NAME = re.compile(r"(?P<app>\d{1,4})-(?P<pid>\d{1,10})-(?P<id>[0-9a-f]{32})\.sock")
_UNFINISHED = re.compile(r"\.[0-9a-f-]+\.new")
_UNFINISHED_S = 60.0
_PEER_CREDENTIALS = struct.Struct("3i")  # struct ucred of SO_PEERCRED: pid, uid, gid


def directory_of(config: Config, root: str | os.PathLike[str]) -> BusDirectory:
    """Return the configured directory, or that of the current user for the project at `root`."""
    return BusDirectory(config.bus_dir) if config.bus_dir else BusDirectory(*default_places(root))


def socket_name(app_number: int) -> str:
    """Return the name for a new socket of this process."""
    return f"{app_number}-{os.getpid()}-{secrets.token_hex(16)}.sock"


def app_of(name: str) -> int | None:
    """Return the app number in a socket's name, None if it isn't such a name."""
    found = _NAME.fullmatch(name)
    return None if found is None else int(found["app"])


def pid_of(name: str) -> int:
    """Return the process id in a socket's name, 0 if it isn't such a name."""
    found = _NAME.fullmatch(name)
    return 0 if found is None else int(found["pid"])


def sender_of(name: str) -> bytes:
    """Return the sender id in a socket's name."""
    found = _NAME.fullmatch(name)
    assert found is not None
    return bytes.fromhex(found["id"])


def raw_socket() -> _socket.socket:
    """Make a non-blocking UNIX stream socket that monkey-patching doesn't touch."""
    kind = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    return _socket.socket(socket.AF_UNIX, kind)


def peer_uid(sock: _socket.socket) -> int:
    """Return the id of the user at the other end of a UNIX socket, as the kernel knows it."""
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
    uid: int = _PEER_CREDENTIALS.unpack(credentials)[1]
    return uid


class BusDirectory:
    """One such folder, or several that are treated as one.

    Args:
        paths: the folders, the preferred one first; they must be private, their parents needn't.

    Attributes:
        path: the folder in which this process listens, or would.
    """

    def __init__(self, *paths: str) -> None:
        self._paths = paths
        self._homes: dict[str, str] = {}  # from a socket's name to its folder
        self.path = paths[-1]

    def __str__(self) -> str:
        return " or ".join(self._paths)

    def make(self) -> None:
        """Make the first folder that can be made, and check that it is private.

        Raises:
            BackplaneError: no folder can be made and is private; the text is about the last one.
        """
        *_, last = self._paths
        try:
            if len(self._paths) == 1:
                os.makedirs(os.path.dirname(last) or ".", exist_ok=True)
            self.path = make_first(self._paths)
        except NotPrivateError as exc:
            raise _not_private(exc) from None
        except OSError as exc:
            raise BackplaneError(f"bus directory {last} can't be made: {exc.strerror}") from None

    def exists(self) -> bool:
        """Return whether there is such a folder.

        Raises:
            BackplaneError: there is, but no private one.
        """
        error: BackplaneError | None = None
        for path in self._paths:
            try:
                check_private(path)
            except FileNotFoundError:
                continue
            except NotPrivateError as exc:
                error = _not_private(exc)
            except OSError as exc:
                error = BackplaneError(f"bus directory {path} can't be used: {exc.strerror}")
            else:
                return True

        if error is not None:
            raise error
        return False

    def names(self) -> list[str]:
        """Return the names of all sockets, sorted; skip folders that are gone or not private."""
        homes = {name: path for path in self._paths for name in self._names_in(path)}
        self._homes = homes
        return sorted(homes)

    def _names_in(self, path: str) -> list[str]:
        try:
            check_private(path)
            found = os.listdir(path)
        except (NotPrivateError, OSError):
            return []
        for name in found:
            if _UNFINISHED.fullmatch(name):
                self._forget_unfinished(os.path.join(path, name))
        return [name for name in found if _NAME.fullmatch(name)]

    def listen(self, name: str) -> _socket.socket:
        """Open a raw, non-blocking socket that listens under `name`.

        Raises:
            OSError: the folder isn't writable.
        """
        unfinished = f".{name.removesuffix('.sock')}.new"
        sock = raw_socket()

        try:
            with _address(self.path, unfinished) as address:
                sock.bind(address)
            sock.listen(_LISTEN_BACKLOG)
            os.rename(os.path.join(self.path, unfinished), os.path.join(self.path, name))
        except BaseException:
            sock.close()
            raise

        self._homes[name] = self.path
        return sock

    def connect(self, name: str, sock: _socket.socket) -> bool:
        """Connect `sock`, and check that the same user is at the other end.

        Returns:
            Whether it is connected. It isn't if that process is gone (its socket is unlinked then),
            too busy to accept another connection, or another user's.
        """
        try:
            with _address(self._homes.get(name, self.path), name) as address:
                sock.connect(address)
        except OSError as exc:
            if exc.errno == errno.ECONNREFUSED:
                self.unlink(name)
            return False
        return peer_uid(sock) == os.geteuid()

    def unlink(self, name: str) -> None:
        """Remove a socket's name; harmless if it is gone."""
        try:
            os.unlink(os.path.join(self._homes.get(name, self.path), name))
        except OSError:
            pass

    def _forget_unfinished(self, path: str) -> None:
        """Remove the socket of a process that died between binding and listening."""
        try:
            if time.time() - os.lstat(path).st_mtime > _UNFINISHED_S:
                os.unlink(path)
        except OSError:
            pass


@contextlib.contextmanager
def _address(folder: str, name: str) -> Iterator[str]:
    """Yield an address of a socket that is short enough for the kernel."""
    address = os.path.join(folder, name)
    if len(os.fsencode(address)) <= _MOST_ADDRESS_BYTES:
        yield address
        return

    fd = os.open(folder, os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{name}"
    finally:
        os.close(fd)


def _not_private(error: NotPrivateError) -> BackplaneError:
    hint = (
        ": run this as that user, or name another with TINA4_WS_BUS_DIR"
        if "belongs to" in str(error)
        else ""
    )
    return BackplaneError(f"bus directory {error}{hint}")
