"""The two seams of a connection: what its socket tells it, and what it asks of its engine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..hub.dispatcher import Dispatcher
from ..hub.mailbox import Mailbox
from ..hub.native import get_ident
from .inquiries import Inquiries

if TYPE_CHECKING:
    from ..engine.fanout import Fanout
    from ..errors import ForkError
    from .lifecycle import Lifecycle
    from .transport import Transport


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
        """The socket is gone; called exactly once, and last, from any greenlet."""
        raise NotImplementedError

    def stalled(self) -> None:
        """The kernel doesn't take more: watch the deadline."""
        raise NotImplementedError

    def overflowed(self, size_bytes: int) -> bool:
        """A broadcast would exceed `max_outbound_bytes`; return whether to queue it anyway.

        Called in any greenlet of the hub's thread.
        """
        raise NotImplementedError

    def failed(self, error: BaseException) -> None:
        """Our own code raised; the connection is beyond repair."""
        raise NotImplementedError


class ConnectionOwner:
    """What the connections of one hub share, as a connection sees it; `engine.Engine` fills it in.

    Args:
        hub: the gevent hub of this thread.
        fanout: takes broadcasts to every hub and process.
        most_callbacks: that may run at once.
        most_inbound_bytes: of clients' messages that may wait for callbacks.

    Attributes:
        dispatcher: runs callbacks.
        inquiries: whose `auth` is being asked here right now.
        mailbox: how other threads get here.
        thread_ident: of the hub's native thread.
        now_s: the monotonic clock at the last sweep: free to read for every message.
        inbound_bytes: of messages that wait for callbacks, or have arrived in part;
            `most_inbound_bytes` as given.
        slow_consumers: connections that were closed with 1013.
        drops_for_slow: how often a member lost broadcasts because of its `on_slow`.
    """

    __slots__ = (
        "dispatcher",
        "drops_for_slow",
        "fanout",
        "hub",
        "inbound_bytes",
        "inquiries",
        "mailbox",
        "most_inbound_bytes",
        "now_s",
        "slow_consumers",
        "thread_ident",
    )

    def __init__(
        self,
        hub: Any,  # gevent ships no types
        fanout: Fanout,
        most_callbacks: int,
        most_inbound_bytes: int,
    ) -> None:
        self.hub: Any = hub
        self.fanout = fanout
        self.dispatcher = Dispatcher(hub, most_callbacks)
        self.inquiries = Inquiries()
        self.mailbox = Mailbox(hub)
        self.thread_ident: int = get_ident()
        self.now_s = time.monotonic()
        self.inbound_bytes = 0
        self.most_inbound_bytes = most_inbound_bytes
        self.slow_consumers = 0
        self.drops_for_slow = 0

    def ended(self, lifecycle: Lifecycle) -> None:
        """Called when the close code is final, just before the "close" callback."""
        raise NotImplementedError

    def forget(self, lifecycle: Lifecycle) -> None:
        """The socket of this connection is gone, and its "close" callback is done."""
        raise NotImplementedError

    def settle(self, transport: Transport) -> None:
        """Both close frames are out: close this transport after a short grace period."""
        raise NotImplementedError

    def leave_groups(self, lifecycle: Lifecycle) -> None:
        """Take a connection out of its path and its rooms; earlier broadcasts still reach it."""
        raise NotImplementedError

    def join(self, lifecycle: Lifecycle, room: str) -> None:
        """Put a connection into a named room."""
        raise NotImplementedError

    def leave(self, lifecycle: Lifecycle, room: str) -> None:
        """Take a connection out of a named room."""
        raise NotImplementedError

    def fork_error(self, consequence: str) -> ForkError:
        """Make the error for what a forked child can't do."""
        raise NotImplementedError

    def report(self, message: str, *args: object, error: BaseException) -> None:
        """Log an error of our own from the hub, where logging isn't allowed: it may wait."""
        raise NotImplementedError
