"""The two interfaces of a connection: to its socket below, and to its engine above."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from ..hub import mishaps
from ..hub.dispatcher import Dispatcher
from ..hub.loop_poller import poller_for
from ..hub.mailbox import Mailbox
from ..hub.native import get_ident
from .inquiries import Inquiries

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from ..engine.fanout import Fanout
    from ..errors import ForkError
    from ..hub.poller import Poller
    from ..journal.contract import KeptLimits, Topic
    from ..journal.pages import Page
    from ..journal.positions import Position
    from ..protocol.session import Session
    from .lifecycle import Lifecycle
    from .served_route import ServedRoute
    from .transport import Transport

logger = logging.getLogger("tina4_wsgi.engine")


if TYPE_CHECKING:

    class Arrivals(Protocol):
        """How many came, by what they were told of their past; and what they got of it."""

        newcomers: int
        resumes: int
        gaps: int
        replayed: int

    class Keeping(Protocol):
        """The journal as one hub uses it; `engine.keeper` implements it."""

        is_pending: bool
        is_distant: bool

        @property
        def counts(self) -> Arrivals: ...
        @property
        def epoch(self) -> str: ...
        @property
        def era(self) -> object: ...
        @property
        def number(self) -> int: ...
        @property
        def position(self) -> str: ...
        def hear(self) -> None: ...
        def is_of_now(self, position: Position) -> bool: ...
        def missed(self, topic: Topic, number: int, limits: KeptLimits) -> Page | None: ...
        def latest(self, topic: Topic, most: int, limits: KeptLimits) -> Page: ...


class TransportOwner:
    """The calls of a transport to its connection, made in the hub unless a method says more."""

    __slots__ = ()

    def received(self, data: bytes) -> None:
        """Handle bytes that the peer sent."""
        raise NotImplementedError

    def received_raw(self, raw: bytes, size: int) -> None:
        """Handle `size` bytes that the peer sent.

        Args:
            raw: in the compiled module a plain pointer, valid until a callback runs.
        """
        self.received(raw[:size])

    def left_waiting(self) -> None:
        """Take stock: a callback waits inside of `received`, and others go on meanwhile."""

    def peer_finished(self) -> None:
        """Handle the end of the peer's bytes; the peer may still read."""
        raise NotImplementedError

    def lost(self) -> None:
        """Handle the loss of the socket: the last call, made exactly once, in any greenlet."""
        raise NotImplementedError

    def stalled(self) -> None:
        """Start the send timeout: the kernel takes no more bytes."""
        raise NotImplementedError

    def overflowed(self, size_bytes: int) -> bool:
        """Return whether to queue a broadcast that would exceed `max_outbound_bytes`.

        Called in any greenlet of the hub's thread.
        """
        raise NotImplementedError

    def failed(self, error: BaseException) -> None:
        """Handle a bug of this package, in any greenlet; the connection is beyond repair."""
        raise NotImplementedError


class _Nobody(TransportOwner):
    """The owner of a transport whose connection is over."""

    def received(self, data: bytes) -> None:
        """Drop them."""

    def peer_finished(self) -> None:
        """Do nothing."""

    def lost(self) -> None:
        """Do nothing: it was told before."""

    def stalled(self) -> None:
        """Do nothing."""

    def overflowed(self, size_bytes: int) -> bool:
        """Queue nothing."""
        return False

    def failed(self, error: BaseException) -> None:
        """Tell of the bug; there is nothing left to close."""
        mishaps.report(logger, "a closed connection failed", error=error)


NOBODY = _Nobody()


class ConnectionOwner:
    """The services that the connections of one hub share; `engine.Engine` implements them.

    Args:
        hub: the gevent hub of this thread.
        fanout: carries broadcasts to every hub and process.
        most_callbacks: how many callbacks may run at once.
        most_inbound_bytes: how many bytes of clients' messages may wait for callbacks.

    Attributes:
        dispatcher: runs callbacks.
        has_threads: whether callbacks run in native threads.
        poller: watches the sockets.
        inquiries: the calls of an `auth` that are under way in this engine.
        mailbox: takes calls from other threads.
        thread_ident: identifier of the hub's native thread.
        now_s: the monotonic clock at the last sweep; reading it for every message costs nothing.
        inbound_bytes: how many bytes of messages wait for callbacks or have arrived in part;
            `most_inbound_bytes` as given.
        spare_session, spare_inbound, spare_service: an idle session, its empty list of messages and
            the route that it is for: for the next connection of that route that gets bytes.
        slow_consumers: how many connections were closed with 1013.
        drops_for_slow: how often a member lost broadcasts because of its `on_slow`.
        keeper: the journal of this hub; None where nothing keeps history.
        is_keeping: whether something was said that isn't in the journal yet; what comes behind it
            calls `finish_keeping` first.
    """

    __slots__ = (
        "dispatcher",
        "drops_for_slow",
        "fanout",
        "has_threads",
        "hub",
        "inbound_bytes",
        "inquiries",
        "is_keeping",
        "keeper",
        "mailbox",
        "most_inbound_bytes",
        "now_s",
        "poller",
        "slow_consumers",
        "spare_inbound",
        "spare_service",
        "spare_session",
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
        self.has_threads = False
        self.fanout = fanout
        self.dispatcher = Dispatcher(hub, most_callbacks)
        self.poller: Poller = poller_for(hub.loop, self.dispatcher)
        self.inquiries = Inquiries()
        self.mailbox = Mailbox(hub)
        self.thread_ident: int = get_ident()

        self.now_s = time.monotonic()
        self.inbound_bytes = 0
        self.most_inbound_bytes = most_inbound_bytes
        self.spare_session: Session | None = None
        self.spare_inbound: list[str | bytes] = []
        self.spare_service: ServedRoute | None = None
        self.slow_consumers = 0
        self.drops_for_slow = 0
        self.keeper: Keeping | None = None
        self.is_keeping = False

    def callback_of(self, service: ServedRoute) -> Callable[..., object]:
        """Return how to call a route's callback from a worker of this hub."""
        return service.callback

    def run_apps(self, function: Callable[..., Any], *args: Any) -> Any:  # Any: whatever it gives
        """Call code of the app's, from a worker of this hub or from any other thread."""
        return function(*args)

    def ended(self, lifecycle: Lifecycle) -> None:
        """Called when the close code is final, just before the "close" callback."""
        raise NotImplementedError

    def forget(self, lifecycle: Lifecycle) -> None:
        """Remove a connection whose socket is gone and whose "close" callback is done."""
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

    def join_path(self, lifecycle: Lifecycle) -> None:
        """Put a connection that has caught up into the group of its path."""
        raise NotImplementedError

    def limits_of(self, topic: Topic) -> KeptLimits | None:
        """Return how much is kept of a path or room; None for nothing."""
        return None

    def finish_keeping(self, lifecycle: Lifecycle | None = None) -> bool:
        """Have what was said in the journal, and queued for its members.

        Greenlets: waits where the journal is elsewhere, and not in the hub.

        Args:
            lifecycle: the one that is to hear it before something else; None for all.
        Returns:
            Whether that is done; where not, what must come behind it goes through `put_behind`.
        """
        return True

    def put_behind(self, function: Callable[..., object], *args: object) -> None:
        """Call a function, which must not wait, once what was said is queued; in the hub."""
        function(*args)

    def leave(self, lifecycle: Lifecycle, room: str) -> None:
        """Take a connection out of a named room."""
        raise NotImplementedError

    def fork_error(self, consequence: str) -> ForkError:
        """Return the error for something that a forked child can't do."""
        raise NotImplementedError

    def report(self, message: str, *args: object, error: BaseException) -> None:
        """Log a bug of this package for the hub, which must not log itself: logging may wait."""
        raise NotImplementedError
