"""Where the processes of one app on one machine find each other: private folders with a socket of
each.

A process listens in the first folder that can be used, and looks for others in all of them: the
preferred one may come and go while processes live, see `places`.

Free of gevent: publishers use it too. All calls are short system calls that don't wait.

An editor keeps true: a socket appears under its name only when it listens, so whoever is refused
there may unlink it; the folder is private and its owner is checked, for the names in it decide who
hears everything.
"""

from __future__ import annotations

import _socket  # the raw one, patched or not: what listens is driven by the hub's watchers
import contextlib
import errno
import os
import re
import secrets
import socket
import struct
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ...errors import BackplaneError
from ..private_folders import NotPrivateError, check_private, default_places, make_private

if TYPE_CHECKING:
    from ...config import Config

_LISTEN_BACKLOG = 128
_MOST_ADDRESS_BYTES = 107  # sun_path of Linux, without its final NUL
_NAME = re.compile(r"(?P<app>\d{1,4})-(?P<pid>\d{1,10})-(?P<id>[0-9a-f]{32})\.sock")
_UNFINISHED = re.compile(r"\.[0-9a-f-]+\.new")
_UNFINISHED_S = 60.0
_PEER_CREDENTIALS = struct.Struct("3i")  # struct ucred of SO_PEERCRED: pid, uid, gid


def directory_of(config: Config, root: str | os.PathLike[str]) -> BusDirectory:
    """Give the directory that the settings name, or that of the project at `root` and the current
    user.
    """
    return BusDirectory(config.bus_dir) if config.bus_dir else BusDirectory(*default_places(root))


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
    """One such folder, or several that are looked at as one.

    Args:
        paths: of the folders, the preferred one first; their parents may be anything, they
            themselves must be private.

    Attributes:
        path: of the folder that this process listens in, or would.
    """

    def __init__(self, *paths: str) -> None:
        self._paths = paths
        self._homes: dict[str, str] = {}  # socket → folder
        self.path = paths[-1]

    def __str__(self) -> str:
        return " or ".join(self._paths)

    def make(self) -> None:
        """Make the first folder that can be made, and see that it is private.

        Raises:
            BackplaneError: none can be made, or is this user's alone; the text is about the last
                one.
        """
        for path in self._paths:
            try:
                if len(self._paths) == 1:
                    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
                make_private(path)
            except NotPrivateError as exc:
                error = _not_private(exc)
            except OSError as exc:
                error = BackplaneError(f"bus directory {path} can't be made: {exc.strerror}")
            else:
                self.path = path
                return
        raise error

    def exists(self) -> bool:
        """Whether there is such a folder.

        Raises:
            BackplaneError: there is, but none that is this user's alone.
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
        """Give the names of all sockets, in order; none of a folder that is gone, or that somebody
        else has made.
        """
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

    def listen(self, name: str) -> Any:  # Any: `_socket` has no types
        """Open a raw socket that listens under `name`; non-blocking.

        Raises:
            OSError: the folder can't be written.
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

    def connect(self, name: str, sock: Any) -> bool:
        """Connect `sock`, and see that this same user is at the other end.

        Returns:
            Whether it is connected; not if that process is gone (its socket is unlinked), or too
            busy to take another, or another user's.
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
        """Take a socket's name away; harmless if it is gone."""
        try:
            os.unlink(os.path.join(self._homes.get(name, self.path), name))
        except OSError:
            pass

    def _forget_unfinished(self, path: str) -> None:
        """Remove what a process left that died between binding and listening."""
        try:
            if time.time() - os.lstat(path).st_mtime > _UNFINISHED_S:
                os.unlink(path)
        except OSError:
            pass


@contextlib.contextmanager
def _address(folder: str, name: str) -> Iterator[str]:
    """Give an address of a socket that is short enough for the kernel."""
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
