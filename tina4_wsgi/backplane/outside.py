"""How a process that doesn't serve reaches those that do: through the bus of this machine, or
through Redis.

Free of gevent. Sockets are the standard library's, so under monkey-patching they are gevent's and
only the greenlet waits.
"""

from __future__ import annotations

import os
import secrets
import socket
from typing import Any

from ..config import Config
from ..errors import BackplaneError
from .bus.directory import BusDirectory, app_of, directory_of, pid_of
from .bus.project_roots import likely_roots
from .contract import TIMEOUT_S, OutsidePublisher, Receipt
from .envelope import SENDER_BYTES, Envelope, EnvelopeError, Kind, Reader, pack, pack_json, sized
from .isolation import WithinProcess, isolation

_READ_BYTES = 65_536


def check_settings(config: Config) -> None:
    """See that the way to other processes can be gone as it is set up, without going it.

    Raises:
        ConfigError: it can't.
    """
    if config.backplane == "redis":
        from .redis.channels import check_url

        check_url(config)


class Outsider:
    """One who only publishes; connections are kept for the next message, in one process.

    A child that was forked has copies of them, and of the numbers by which answers are known. So it
    begins anew, with a name and connections of its own; closing its copies leaves the parent's as
    they are.

    Args:
        root: of the project, which names the default bus directory; None to look for it, see
            `roots`.
        app_number: for which of its process's apps it speaks, to the same one of other processes;
            None for a publisher that is no app.

    Threads: one at a time.
    """

    def __init__(
        self, config: Config, root: str | os.PathLike[str] | None, app_number: int | None = None
    ) -> None:
        self._config = config
        self._root = root
        self._app_number = app_number
        self._way: OutsidePublisher | None = None
        self._pid = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        """Give what another process needs to begin anew: one that is started by "spawn" or
        "forkserver".
        """
        return {**self.__dict__, "_way": None}

    def carry(self, kind: Kind, name: str, frame: bytes) -> Receipt:
        """Tell all processes that serve, wait for them, and say who took it.

        Raises:
            BackplaneError: there is none, or there is no way to them.
        """
        if self._pid != os.getpid():
            self.close()
            self._pid = os.getpid()
        if self._way is None:
            self._way = self._find_way()
        try:
            return self._way.carry(kind, name, frame)
        except BackplaneError:
            # The next message may find a server that has come since, in another folder.
            self.close()
            raise

    def close(self) -> None:
        """Give the sockets back."""
        way, self._way = self._way, None
        if way is not None:
            way.close()

    def _find_way(self) -> OutsidePublisher:
        config = self._config
        if isolation.is_on and self._app_number is None:
            return WithinProcess()
        if config.backplane == "none":
            raise BackplaneError(
                "backplane is 'none', so no other process can be reached; expected 'local' or "
                "'redis'"
            )
        if config.backplane == "redis":
            from .redis.outside import RedisOutsider

            return RedisOutsider(config, self._app_number or 0)
        return BusOutsider(self._find_directory(), self._app_number)

    def _find_directory(self) -> BusDirectory:
        if self._root is not None or self._config.bus_dir:
            return directory_of(self._config, self._root or "")

        directories = [directory_of(self._config, root) for root in likely_roots()]
        # A folder that is somebody else's is told of only where there is no other.
        return next((one for one in directories if one.names()), directories[0])


class BusOutsider:
    """A guest on the bus of this machine; the arguments are as for `Outsider`."""

    def __init__(self, directory: BusDirectory, app_number: int | None = None) -> None:
        self._directory = directory
        self._app_number = app_number
        self._sender = secrets.token_bytes(SENDER_BYTES)
        self._number = 0
        self._lines: dict[str, _Line] = {}

    def carry(self, kind: Kind, name: str, frame: bytes) -> Receipt:
        """Tell all processes on the bus and wait until each has handed it on."""
        self._number += 1
        data = sized(pack(kind, name, frame, self._sender, self._number))
        self._look_around()
        for socket_name, line in list(self._lines.items()):
            if not line.send(data):
                self._drop(socket_name)
        counts = []
        for socket_name, line in list(self._lines.items()):
            count = line.await_ack(self._number)
            if count is None:
                self._drop(socket_name)
            else:
                counts.append(count)
        if not counts:
            raise BackplaneError(
                f"nobody took the message: no process with WebSockets is in {self._directory}; "
                "start the server, "
                f"run this in its project's folder (this is {os.getcwd()}), or name its bus "
                "directory with "
                "TINA4_WS_BUS_DIR"
            )
        return Receipt(len(counts), sum(counts))

    def close(self) -> None:
        """Give the sockets back."""
        for name in list(self._lines):
            self._drop(name)

    def _look_around(self) -> None:
        """Be linked to those who are there now, and to nobody else."""
        names = self._directory.names() if self._directory.exists() else []
        if self._app_number is not None:
            # This process's own members have been told, and its hub may wait for this very call.
            names = [
                name
                for name in names
                if app_of(name) == self._app_number and pid_of(name) != os.getpid()
            ]
        for name in set(self._lines) - set(names):
            self._drop(name)
        for name in names:
            if name not in self._lines:
                self._connect(name)

    def _connect(self, name: str) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(TIMEOUT_S)
        if not self._directory.connect(name, sock):
            sock.close()
            return
        hello = {"role": "publisher", "pid": os.getpid()}
        line = self._lines[name] = _Line(sock)
        if not line.send(sized(pack_json(Kind.HELLO, "", hello, self._sender))):
            self._drop(name)

    def _drop(self, name: str) -> None:
        self._lines.pop(name).close()


class _Line:
    """A socket to one process."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._reader = Reader()

    def send(self, data: bytes) -> bool:
        """Send it all, and say whether that was possible."""
        try:
            self._sock.sendall(data)
        except OSError:
            return False
        return True

    def await_ack(self, number: int) -> int | None:
        """Wait until that message was handed on; gives to how many clients, None if that isn't
        known.
        """
        while True:
            found: list[Envelope] = []
            try:
                data = self._sock.recv(_READ_BYTES)
                self._reader.feed(data, found)
            except (OSError, EnvelopeError):
                return None
            for envelope in found:
                if envelope.kind is Kind.ACK and envelope.number == number:
                    return _count_in(envelope)
            if not data:
                return None

    def close(self) -> None:
        """Give the socket back."""
        self._sock.close()


def _count_in(ack: Envelope) -> int | None:
    try:
        count = ack.json().get("clients")
    except EnvelopeError:
        return None
    return count if isinstance(count, int) else None
