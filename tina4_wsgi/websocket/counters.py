"""Counters of a connection, its route and its engine: plain numbers, cheap enough to be always on.

Each connection has its own counters; when it is gone, they are added to the `Tally` of its route.
Measuring times costs more than adding an integer, so times are measured only with the setting
`metrics`. `monitoring` adds everything up on request.
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
"""The label of all close codes from 3000 on that clients chose themselves."""

_FIRST_PRIVATE_CODE = 3000  # RFC 6455 §7.4.2; a close frame may carry a dozen codes below it


class Histogram:
    """Counts values in buckets of powers of two.

    Attributes:
        counts: at index n, how many values had n bits, from 2**(n-1) to 2**n - 1.
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
    """The totals of one route's connections, without those whose sockets still exist.

    Greenlets and threads: all of the app's; two hubs that add at the same moment may lose a count.

    Attributes:
        callback_times: by event, in nanoseconds; empty where times aren't measured.
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
        """Add the counters of a connection that is gone."""
        transport = lifecycle.transport
        self.messages_received += lifecycle.message_count
        self.messages_sent += transport.sent_messages
        self.received_bytes += transport.received_bytes
        self.sent_bytes += transport.sent_bytes

    def count_close(self, code: int, *, is_peers: bool) -> None:
        """Count the end of one connection.

        Args:
            is_peers: whether the client chose the code. A client may choose any code that the
                protocol leaves to applications, and each would become a series of its own, so
                these codes are counted under one label.
        """
        label = CLIENTS_OWN if is_peers and code >= _FIRST_PRIVATE_CODE else code
        self.closes[label] = self.closes.get(label, 0) + 1

    def timed(self, callback: Callback) -> Callback:
        """Return a callback that calls `callback` and measures its time."""
        times = self.callback_times = {event: Histogram() for event in ("open", "message", "close")}
        clock_ns = time.perf_counter_ns

        def call(connection: Connection, event: Event, data: str | bytes) -> object:
            started_ns = clock_ns()
            try:
                return callback(connection, event, data)
            finally:
                # `Histogram.add` inlined: this runs for every message.
                spent_ns = clock_ns() - started_ns
                histogram = times[event]
                histogram.counts[spent_ns.bit_length()] += 1
                histogram.total += spent_ns

        return call


class Meter:
    """Measures the flush of a group at the end of a turn.

    Attributes:
        fanout: how many members each flushed group had.
        flush_times: how long each flush took, in nanoseconds.
    """

    __slots__ = ("fanout", "flush_times")

    def __init__(self) -> None:
        self.fanout = Histogram()
        self.flush_times = Histogram()

    def flush(self, group: Group) -> None:
        """Flush a group, and count the flush if the group had frames and members."""
        size = len(group)
        if not group.pending or not size:
            group.flush()
            return

        started_ns = time.perf_counter_ns()
        group.flush()
        self.flush_times.add(time.perf_counter_ns() - started_ns)
        self.fanout.add(size)
