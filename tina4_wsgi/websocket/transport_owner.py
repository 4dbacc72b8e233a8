"""The seam between a socket and the connection that owns it."""

from __future__ import annotations


class TransportOwner:
    """What a transport tells its connection. All but `failed` are called in the hub."""

    __slots__ = ()

    def received(self, data: bytes) -> None:
        """Bytes came."""
        raise NotImplementedError

    def peer_finished(self) -> None:
        """The peer sends no more; it may still read."""
        raise NotImplementedError

    def lost(self) -> None:
        """The socket is gone, whoever ended it. Called exactly once, and last, from any
        greenlet.
        """
        raise NotImplementedError

    def stalled(self) -> None:
        """The kernel doesn't take more: watch the deadline."""
        raise NotImplementedError

    def overflowed(self, size_bytes: int) -> bool:
        """One more broadcast would make more wait than `max_outbound_bytes`; say whether to queue
        it all the same.

        Called in any greenlet of the hub's thread.
        """
        raise NotImplementedError

    def failed(self, error: BaseException) -> None:
        """Our own code raised; the connection is beyond repair."""
        raise NotImplementedError
