"""What a connection, its route and its engine count: plain numbers, cheap enough to be always on.

A connection counts for itself; when it is gone, its numbers are added to the `Tally` of its route.
Taking times costs more than adding an integer, so times are taken only with the setting `metrics`.
`monitoring` adds everything up when somebody asks.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..engine.groups import Group
    from ..routing.callbacks import Event
    from .connection import Connection
    from .lifecycle import Lifecycle

    Callback = Callable[[Connection, Event, str | bytes], object]

_MOST_BITS = 64

CLIENTS_OWN = "other"
"""Stands for all close codes from 3000 on that clients chose themselves."""

_FIRST_PRIVATE_CODE = 3000  # RFC 6455 §7.4.2; below it there are a dozen that may travel


class Histogram:
    """How often values occurred, in buckets of powers of two.

    Attributes:
        counts: at place n, how many values had n bits: those from 2**(n-1) to 2**n - 1.
        total: the sum of all values.
    """

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (_MOST_BITS + 1)
        self.total = 0

    def add(self, value: int) -> None:
        """Count one value, 0 or more."""
        self.counts[value.bit_length()] += 1
        self.total += value


class Tally:
    """What the connections of one route did, those whose sockets are still there not included.

    Greenlets and threads: all of the app's; two hubs that add at the very same moment may lose one.

    Attributes:
        callback_times: by event, in nanoseconds; empty where no times are taken.
    """

    __slots__ = (
        "callback_times",
        "closes",
        "error_count",
        "messages_received",
        "messages_sent",
        "opened_count",
        "received_bytes",
        "sent_bytes",
    )

    def __init__(self) -> None:
        self.opened_count = 0
        self.messages_received = 0
        self.messages_sent = 0
        self.received_bytes = 0
        self.sent_bytes = 0
        self.error_count = 0
        self.closes: dict[int | str, int] = {}
        self.callback_times: dict[str, Histogram] = {}

    def take_over(self, lifecycle: Lifecycle) -> None:
        """Add the numbers of a connection that has gone."""
        transport = lifecycle.transport
        self.messages_received += lifecycle.message_count
        self.messages_sent += transport.sent_messages
        self.received_bytes += transport.received_bytes
        self.sent_bytes += transport.sent_bytes

    def count_close(self, code: int, *, is_peers: bool) -> None:
        """Count one end.

        Args:
            is_peers: whether the client chose the code; of those that the protocol leaves to
                applications it may choose any, and each would be a series of its own, so they are
                counted as one.
        """
        label = CLIENTS_OWN if is_peers and code >= _FIRST_PRIVATE_CODE else code
        self.closes[label] = self.closes.get(label, 0) + 1

    def timed(self, callback: Callback) -> Callback:
        """Give a callback that does the same and has its time taken."""
        times = self.callback_times = {event: Histogram() for event in ("open", "message", "close")}
        clock_ns = time.perf_counter_ns

        def call(connection: Connection, event: Event, data: str | bytes) -> object:
            started_ns = clock_ns()
            try:
                return callback(connection, event, data)
            finally:
                # `Histogram.add` by hand: this is done for every message.
                spent_ns = clock_ns() - started_ns
                histogram = times[event]
                histogram.counts[spent_ns.bit_length()] += 1
                histogram.total += spent_ns

        return call


class Meter:
    """Flushes a group at the end of a turn, with a look at the clock.

    Attributes:
        fanout: members of each group that was flushed.
        flush_times: in nanoseconds.
    """

    __slots__ = ("fanout", "flush_times")

    def __init__(self) -> None:
        self.fanout = Histogram()
        self.flush_times = Histogram()

    def flush(self, group: Group) -> None:
        """Flush it, and count it if it had something for somebody."""
        size = len(group)
        if not group.pending or not size:
            group.flush()
            return
        started_ns = time.perf_counter_ns()
        group.flush()
        self.flush_times.add(time.perf_counter_ns() - started_ns)
        self.fanout.add(size)
