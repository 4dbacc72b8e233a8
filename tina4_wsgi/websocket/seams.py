"""What the connections of one hub share, as a connection sees it; `engine.Engine` fills it in."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gevent.monkey import get_original

from ..hub.dispatcher import Dispatcher
from ..hub.mailbox import Mailbox
from .inquiries import Inquiries

if TYPE_CHECKING:
    from ..errors import ForkError
    from .transport import Transport

# Patched or not, this names the native thread; the patched one would name the greenlet.
_get_ident = get_original("_thread", "get_ident")


class ConnectionOwner:
    """The place where connections live.

    Args:
        hub: the gevent hub of this thread.
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
        self, hub: Any, most_callbacks: int, most_inbound_bytes: int
    ) -> None:  # Any: gevent ships no types
        self.hub: Any = hub
        self.dispatcher = Dispatcher(hub, most_callbacks)
        self.inquiries = Inquiries()
        self.mailbox = Mailbox(hub)
        self.thread_ident: int = _get_ident()
        self.now_s = time.monotonic()
        self.inbound_bytes = 0
        self.most_inbound_bytes = most_inbound_bytes
        self.slow_consumers = 0
        self.drops_for_slow = 0

    def ended(self, connection: Any) -> None:  # Any: as below
        """It is known how this connection ended; its "close" is about to run."""
        raise NotImplementedError

    def forget(self, connection: Any) -> None:  # Any: a Connection, which is built on this
        """The socket of this connection is gone, and its "close" is done."""
        raise NotImplementedError

    def settle(self, transport: Transport) -> None:
        """All is said on both sides of this transport: close it in a moment."""
        raise NotImplementedError

    def leave_groups(self, connection: Any) -> None:
        """Take a connection out of its path and its rooms; what was broadcast before still reaches
        it.
        """
        raise NotImplementedError

    def join(self, connection: Any, room: str) -> None:
        """Put a connection into a named room."""
        raise NotImplementedError

    def leave(self, connection: Any, room: str) -> None:
        """Take a connection out of a named room."""
        raise NotImplementedError

    def broadcast(self, path: str, frame: bytes, exclude: Transport | None = None) -> None:
        """Send a frame to everybody on `path`; from any thread."""
        raise NotImplementedError

    def broadcast_to_room(self, room: str, frame: bytes, exclude: Transport | None = None) -> None:
        """Send a frame to everybody in `room`; from any thread."""
        raise NotImplementedError

    def members(self, path: str) -> list[Any]:
        """Say who is on `path`, in all processes; waits for their answers."""
        raise NotImplementedError

    def fork_error(self, consequence: str) -> ForkError:
        """Make the error for what a forked child can't do."""
        raise NotImplementedError

    def report(self, message: str, *args: object, error: BaseException) -> None:
        """Log an error of our own from the hub, where logging itself isn't allowed: it may wait for
        a lock.
        """
        raise NotImplementedError
