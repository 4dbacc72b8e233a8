"""The seam between a socket and the connection that owns it."""

from __future__ import annotations

from typing import Protocol


class Owner(Protocol):
    """What a transport tells its connection. All but `failed` are called in the hub."""

    def received(self, data: bytes) -> None:
        """Bytes came."""

    def peer_finished(self) -> None:
        """The peer sends no more; it may still read."""

    def lost(self) -> None:
        """The socket is gone, whoever ended it. Called exactly once, and last, from any greenlet."""

    def stalled(self) -> None:
        """The kernel doesn't take more: watch the deadline."""

    def overflowed(self, size_bytes: int) -> bool:
        """One more broadcast would make more wait than `max_outbound_bytes`; say whether to queue it all the same.

        Called in any greenlet of the hub's thread.
        """

    def failed(self, error: BaseException) -> None:
        """Our own code raised; the connection is beyond repair."""
