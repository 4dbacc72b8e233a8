"""What is counted: plain numbers in plain containers, cheap enough to be always on.

A connection counts for itself and its numbers are added to its route's `Tally` when it is gone; all
else is added up when somebody asks. Only times cost more than an integer add, so they are taken
only with the setting `metrics`.

`FAMILIES` is the list of all that is told. Labels are routes, never concrete paths, and nothing
that a client chooses, so their number is bounded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from ..routing.callbacks import Event
    from ..websocket.connection import Connection

    Callback = Callable[[Connection, Event, str | bytes], object]

_MOST_BITS = 64

CLIENTS_OWN = "other"
"""Stands for all close codes from 3000 on that clients chose themselves."""

_FIRST_PRIVATE_CODE = 3000  # RFC 6455 §7.4.2; below it there are a dozen that may travel
SEPARATOR = "\n"  # between the values of several labels; no route and no number has it


class Family(NamedTuple):
    """One thing that is counted.

    Attributes:
        name: without the prefix and the suffixes of an exporter.
        kind: "counter", which only grows; "gauge"; or "seconds" and "sizes", which are histograms.
        help: one sentence.
        labels: by which it is told apart.
    """

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()


FAMILIES = (
    Family("connections", "gauge", "Open WebSocket connections.", ("route",)),
    Family("connections_opened", "counter", "WebSocket connections since the start.", ("route",)),
    Family(
        "closes",
        "counter",
        "Connections that ended, by close code; 1006 is a broken line, other a client's choice "
        "from 3000 on.",
        ("route", "code"),
    ),
    Family(
        "handshakes_refused", "counter", "Upgrades that were answered with an error.", ("status",)
    ),
    Family("messages_received", "counter", "Messages that callbacks were given.", ("route",)),
    Family(
        "messages_sent",
        "counter",
        "Messages queued for clients, each once for every receiver.",
        ("route",),
    ),
    Family("received_bytes", "counter", "Bytes from clients, framing included.", ("route",)),
    Family("sent_bytes", "counter", "Bytes to clients, framing included.", ("route",)),
    Family("callback_errors", "counter", "Callbacks that raised.", ("route",)),
    Family(
        "callback_seconds",
        "seconds",
        "How long callbacks ran, waiting included.",
        ("route", "event"),
    ),
    Family("callbacks_running", "gauge", "Callbacks that run or wait for something."),
    Family("callbacks_waiting", "gauge", "Connections that wait for one of max_callbacks."),
    Family("queued_bytes", "gauge", "Bytes that wait for slow readers.", ("route",)),
    Family(
        "queued_messages",
        "gauge",
        "Messages that wait for their connection's callback.",
        ("route",),
    ),
    Family(
        "stalled_connections",
        "gauge",
        "Connections whose client takes less than is sent.",
        ("route",),
    ),
    Family(
        "slow_consumers",
        "counter",
        "Connections closed with 1013 because their client read too slowly.",
    ),
    Family(
        "broadcasts_dropped",
        "counter",
        "Broadcasts that a slow reader lost because of its on_slow.",
    ),
    Family(
        "broadcasts",
        "counter",
        "Broadcasts to a path or a room, those of other processes included.",
        ("kind",),
    ),
    Family(
        "fanout_members",
        "sizes",
        "Receivers of what was broadcast to one path or room in one turn.",
    ),
    Family(
        "flush_seconds",
        "seconds",
        "How long one path's broadcasts of one turn took to be handed to the kernel.",
    ),
    Family("workers", "gauge", "Processes whose numbers these are."),
    Family("draining_workers", "gauge", "Processes that are about to stop."),
    Family("backplane_up", "gauge", "Processes that reach the others as they should.", ("kind",)),
    Family("backplane_siblings", "gauge", "Links to other processes of this machine.", ("kind",)),
    Family(
        "backplane_queued_messages", "gauge", "Broadcasts that wait for the backplane.", ("kind",)
    ),
    Family(
        "backplane_dropped_messages", "counter", "Broadcasts that the backplane lost.", ("kind",)
    ),
    Family("backplane_outages", "counter", "How often the backplane went away.", ("kind",)),
)


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

    def take_over(self, connection: Connection) -> None:
        """Add the numbers of a connection that has gone."""
        transport = connection.transport
        self.messages_received += connection.message_count
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


class Flushed(Protocol):
    """A group with frames for all of its members."""

    pending: list[bytes]

    def __len__(self) -> int: ...
    def flush(self) -> None: ...


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

    def flush(self, group: Flushed) -> None:
        """Flush it, and count it if it had something for somebody."""
        size = len(group)
        if not group.pending or not size:
            group.flush()
            return
        started_ns = time.perf_counter_ns()
        group.flush()
        self.flush_times.add(time.perf_counter_ns() - started_ns)
        self.fanout.add(size)


class Sums:
    """All numbers of one process, or of several added up; goes into JSON and comes back.

    Attributes:
        counters, gauges: family → values of its labels, joined by `SEPARATOR` → number.
        histograms: the same → `counts` of a `Histogram`, and behind them its `total`.
    """

    __slots__ = ("counters", "gauges", "histograms")

    def __init__(self) -> None:
        self.counters: dict[str, dict[str, float]] = {}
        self.gauges: dict[str, dict[str, float]] = {}
        self.histograms: dict[str, dict[str, list[int]]] = {}

    def count(self, family: str, number: float, *labels: object) -> None:
        """Add to a counter."""
        _add(self.counters.setdefault(family, {}), _key(labels), number)

    def gauge(self, family: str, number: float, *labels: object) -> None:
        """Add to a gauge."""
        _add(self.gauges.setdefault(family, {}), _key(labels), number)

    def observe(self, family: str, histogram: Histogram, *labels: object) -> None:
        """Add a histogram to another."""
        self._merge_histogram(family, _key(labels), [*histogram.counts, histogram.total])

    def add(self, other: Sums) -> None:
        """Add all of the numbers of `other`."""
        for mine, theirs in ((self.counters, other.counters), (self.gauges, other.gauges)):
            for family, values in theirs.items():
                sums = mine.setdefault(family, {})
                for key, number in values.items():
                    _add(sums, key, number)
        for family, histograms in other.histograms.items():
            for key, numbers in histograms.items():
                self._merge_histogram(family, key, numbers)

    def as_dict(self) -> dict[str, Any]:
        """Give what JSON takes."""
        return {"counters": self.counters, "gauges": self.gauges, "histograms": self.histograms}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Sums:
        """Read what `as_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        sums = cls()
        for part, mine in (("counters", sums.counters), ("gauges", sums.gauges)):
            for family, values in dict(data[part]).items():
                mine[family] = {key: number + 0 for key, number in dict(values).items()}
        for family, histograms in dict(data["histograms"]).items():
            for key, numbers in dict(histograms).items():
                sums._merge_histogram(family, key, [int(number) for number in numbers])
        return sums

    def _merge_histogram(self, family: str, key: str, numbers: list[int]) -> None:
        histograms = self.histograms.setdefault(family, {})
        old = histograms.get(key)
        histograms[key] = (
            numbers if old is None else [a + b for a, b in zip(old, numbers, strict=True)]
        )


def _add(values: dict[str, float], key: str, number: float) -> None:
    values[key] = values.get(key, 0) + number


def _key(labels: tuple[object, ...]) -> str:
    return SEPARATOR.join(map(str, labels))
