"""A publisher that reaches the serving processes of this machine through the bus.

Free of gevent. Its sockets are the standard library's, so under monkey-patching they are gevent's
and only the greenlet waits.
"""

from __future__ import annotations

import os
import secrets
import socket
from typing import TYPE_CHECKING

from ...errors import BackplaneError
from ...journal.contract import VERSION
from ..contract import TIMEOUT_S, Receipt
from ..envelope import (
    SENDER_BYTES,
    Envelope,
    EnvelopeError,
    EnvelopeReader,
    Kind,
    pack,
    pack_json,
    sized,
)
from .directory import app_of, pid_of

if TYPE_CHECKING:
    from ..contract import Facts
    from .directory import BusDirectory

_READ_BYTES = 65_536


class BusOutsider:
    """Publishes on the bus of this machine; the arguments are those of `Outsider`."""

    def __init__(self, directory: BusDirectory, app_number: int | None = None) -> None:
        self._directory = directory
        self._app_number = app_number
        self._sender = secrets.token_bytes(SENDER_BYTES)
        self._number = 0
        self._lines: dict[str, _Line] = {}

    def carry(self, kind: Kind, name: str, frame: bytes, once: str = "") -> Receipt:
        """Tell all processes on the bus, and wait until each has handed the message on."""
        receipt = self._tell(kind, name, frame)
        if receipt is None:
            raise BackplaneError(
                f"nobody took the message: no process with WebSockets is in {self._directory}; "
                f"start the server, run this in its project's folder (this is {os.getcwd()}), or "
                "name its bus directory with TINA4_WS_BUS_DIR"
            )
        return receipt

    def ring(self, kind: Kind, name: str, frames: list[bytes], before: int) -> Receipt:
        """Tell all processes that the journal has news, and wait until each has handed it on."""
        return self._tell(kind, name, b"%d" % before) or Receipt(0, 0)

    def _tell(self, kind: Kind, name: str, body: bytes) -> Receipt | None:
        """Return how many processes took an envelope; None where there is none."""
        self._number += 1
        data = sized(pack(kind, name, body, self._sender, self._number))
        self._look_around()

        # All get the message before any is waited for.
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

        return Receipt(len(counts), sum(counts)) if counts else None

    def close(self) -> None:
        """Close the sockets."""
        for name in list(self._lines):
            self._drop(name)

    def _look_around(self) -> None:
        """Connect to the processes that are there now, and drop those that are gone."""
        names = self._directory.names() if self._directory.exists() else []
        if self._app_number is not None:
            # Members of this process were told already, and its hub may wait for this very call.
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

        hello: Facts = {"role": "publisher", "pid": os.getpid()}
        if self._app_number is not None:
            hello["journal"] = VERSION  # an app keeps what is worth it, and knows all its paths
        line = self._lines[name] = _Line(sock)
        if not line.send(sized(pack_json(Kind.HELLO, "", hello, self._sender))):
            self._drop(name)

    def _drop(self, name: str) -> None:
        self._lines.pop(name).close()


class _Line:
    """A connection to one process."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._reader = EnvelopeReader()

    def send(self, data: bytes) -> bool:
        """Send all of it; return False if the connection is broken."""
        try:
            self._sock.sendall(data)
        except OSError:
            return False
        return True

    def await_ack(self, number: int) -> int | None:
        """Wait until that message was handed on; return to how many clients, None if unknown."""
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
        """Close the socket."""
        self._sock.close()


def _count_in(ack: Envelope) -> int | None:
    try:
        count = ack.json().get("clients")
    except EnvelopeError:
        return None
    return count if isinstance(count, int) else None
