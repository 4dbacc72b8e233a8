"""One socket between two processes of one machine, driven by the hub's watchers.

Invariants, as in a client's transport: no exception leaves a watcher's callback; a watcher is
closed before its descriptor; nothing here waits or logs.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol

from ...hub.backlog import Backlog
from ..envelope import Envelope, EnvelopeError, EnvelopeReader

if TYPE_CHECKING:
    import _socket

    from ..envelope import Kind

_READ_BYTES = 65_536
_READABLE, _WRITABLE = 1, 2  # libev's


class LinkOwner(Protocol):
    """The calls of a `Link` to its owner.

    Greenlets: both methods are called in the hub, and must neither wait nor log.
    """

    def received(self, link: Link, envelopes: list[Envelope]) -> None:
        """Take envelopes that arrived, in order."""

    def ended(self, link: Link, reason: str) -> None:
        """Handle the end of the socket, once; `reason` is for the log, "" for an ordinary end."""


class Link:
    """A connected socket.

    Args:
        sock: raw and non-blocking; the link owns it from now on.
        loop: the hub's event loop.
        owner: gets the calls of `LinkOwner`.
        most_bytes: how much may wait for a peer that takes nothing; beyond that the link is cut.

    Attributes:
        name: the name of the peer's socket, once known.
        sender: the peer's id, once known.
        is_outsider: whether the peer only publishes.
        knows_journal: whether the peer keeps what is worth it, as far as it has said HELLO.
        skipped: what the peer wants no broadcasts to, as pairs of kind and name; `interest` says
            more.

    Greenlets: the hub and any of its thread; nothing switches.
    """

    __slots__ = (
        "_backlog",
        "_loop",
        "_most_bytes",
        "_owner",
        "_pid",
        "_queued_bytes",
        "_reader",
        "_sock",
        "_watcher",
        "is_outsider",
        "knows_journal",
        "name",
        "opened_at_s",
        "sender",
        "skipped",
    )

    def __init__(
        self,
        sock: _socket.socket,
        loop: Any,  # Any: gevent ships no types
        owner: LinkOwner,
        most_bytes: int,
        name: str = "",
    ) -> None:
        self._sock: _socket.socket | None = sock
        self._loop = loop
        self._owner = owner
        self._most_bytes = most_bytes
        self._pid = os.getpid()
        self._reader = EnvelopeReader()
        self._backlog: Backlog | None = None
        self._queued_bytes = 0
        self.name = name
        self.sender = b""
        self.is_outsider = False
        self.knows_journal = True
        self.skipped: set[tuple[Kind, str]] = set()
        self.opened_at_s: float = loop.now()
        # ref=False: links never keep a process alive.
        self._watcher = loop.io(sock.fileno(), _READABLE, ref=False)
        self._watcher.start(self._on_readable)

    @property
    def is_open(self) -> bool:
        """Whether the socket is still there."""
        return self._sock is not None

    @property
    def queued_bytes(self) -> int:
        """Bytes that the peer has not taken yet."""
        return self._queued_bytes

    def write(self, data: bytes) -> None:
        """Send whole envelopes; what the kernel doesn't take waits, up to the limit of the link."""
        sock = self._sock
        if sock is None:
            return
        if self._backlog is not None:
            if self._queued_bytes + len(data) > self._most_bytes:
                self.close(f"took nothing of {self._queued_bytes} bytes and is cut off")
                return
            self._backlog.append(data)
            self._queued_bytes += len(data)
            return

        try:
            sent = sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close("")
            return

        if sent < len(data):
            watcher = self._loop.io(sock.fileno(), _WRITABLE, ref=False)
            self._backlog = Backlog(watcher, data, sent)
            self._queued_bytes = len(data) - sent
            watcher.start(self._on_writable)

    def close(self, reason: str = "") -> None:
        """Close the socket, drop all waiting bytes and notify the owner; idempotent."""
        sock, self._sock = self._sock, None
        if sock is None:
            return

        self._watcher.stop()
        self._watcher.close()
        if self._backlog is not None:
            self._backlog.close()
            self._backlog = None
        sock.close()
        self._queued_bytes = 0
        self._owner.ended(self, reason)

    def _on_readable(self) -> None:
        if self._sock is None:
            return
        if os.getpid() != self._pid:
            # A fork without exec has copies of the parent's loop and socket.
            self._watcher.stop()
            return

        try:
            is_over, reason = self._read()
        except EnvelopeError as exc:
            is_over, reason = True, f"sent garbage and is cut off: {exc}"
        except BaseException as exc:  # noqa: BLE001  # one that leaves would end the watcher
            is_over, reason = (
                True,
                f"is cut off, since handling what it sent raised {type(exc).__name__}",
            )
        if is_over:
            self.close(reason)

    def _read(self) -> tuple[bool, str]:
        """Take what arrived; return whether that was the end, and why."""
        assert self._sock is not None
        try:
            data = self._sock.recv(_READ_BYTES)
        except BlockingIOError:
            return False, ""
        except OSError:
            return True, ""

        envelopes: list[Envelope] = []
        try:
            self._reader.feed(data, envelopes)
        finally:
            if envelopes:  # also those that came whole before garbage
                self._owner.received(self, envelopes)
        return not data, ""

    def _on_writable(self) -> None:
        backlog = self._backlog
        if self._sock is None or backlog is None:
            return
        try:
            self._queued_bytes -= backlog.send_some(self._sock.send)
        except BlockingIOError:
            return
        except OSError:
            self.close("")
            return

        if not backlog:
            self._backlog = None
            backlog.close()
