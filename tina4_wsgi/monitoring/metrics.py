"""The list of all metrics, and the sums that hold their values.

Labels are routes, never concrete paths or anything else that a client chooses, so the number of
series is bounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ..backplane.contract import Facts
    from ..websocket.counters import Histogram

SEPARATOR = "\n"
"""Stands between the values of several labels; no route and no number contains it."""


class Family(NamedTuple):
    """One metric.

    Attributes:
        name: the name without the prefix and suffixes of an exporter.
        kind: "counter", which only grows; "gauge"; "highest", a gauge of which that of all
            processes is the highest; or "seconds" and "sizes", which are histograms.
        help: one sentence.
        labels: the names of its labels.
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
    Family("history_up", "gauge", "Processes that keep what they should."),
    Family("history_failures", "counter", "How often history could not be kept any more."),
    Family("history_kept", "counter", "Messages that were kept."),
    Family("history_unkept", "counter", "Messages that should have been kept, and could not be."),
    Family("history_repeated", "counter", "Messages left out, since their once had been said."),
    Family("history_newcomers", "counter", "Connections that had not been here before."),
    Family("history_resumes", "counter", "Connections that got all that they had missed."),
    Family("history_gaps", "counter", "Connections that were told of a gap."),
    Family("history_replayed", "counter", "Kept messages that were sent to those who came."),
    Family("history_bytes", "highest", "Bytes that kept messages take."),
    Family("history_latest_seconds", "highest", "How long the latest transaction took."),
    Family("history_longest_seconds", "highest", "How long the longest transaction took."),
)


class Sums:
    """All values of one process, or of several processes added up; can be written as JSON.

    Attributes:
        counters, gauges, highest: from a family's name, and the values of its labels joined by
            `SEPARATOR`, to a number.
        histograms: from the same to the `counts` of a `Histogram`, followed by its `total`.
    """

    __slots__ = ("counters", "gauges", "highest", "histograms")

    def __init__(self) -> None:
        self.counters: dict[str, dict[str, float]] = {}
        self.gauges: dict[str, dict[str, float]] = {}
        self.highest: dict[str, dict[str, float]] = {}
        self.histograms: dict[str, dict[str, list[int]]] = {}

    def count(self, family: str, number: float, *labels: object) -> None:
        """Add to a counter."""
        _add(self.counters.setdefault(family, {}), _key(labels), number)

    def gauge(self, family: str, number: float, *labels: object) -> None:
        """Add to a gauge."""
        _add(self.gauges.setdefault(family, {}), _key(labels), number)

    def raise_to(self, family: str, number: float, *labels: object) -> None:
        """Raise a gauge of which the highest counts."""
        _raise(self.highest.setdefault(family, {}), _key(labels), number)

    def observe(self, family: str, histogram: Histogram, *labels: object) -> None:
        """Add a histogram to another."""
        self._merge_histogram(family, _key(labels), [*histogram.counts, histogram.total])

    def add(self, other: Sums) -> None:
        """Add all values of `other`."""
        for mine, theirs in ((self.counters, other.counters), (self.gauges, other.gauges)):
            for family, values in theirs.items():
                sums = mine.setdefault(family, {})
                for key, number in values.items():
                    _add(sums, key, number)
        for family, values in other.highest.items():
            for key, number in values.items():
                _raise(self.highest.setdefault(family, {}), key, number)
        for family, histograms in other.histograms.items():
            for key, numbers in histograms.items():
                self._merge_histogram(family, key, numbers)

    def as_dict(self) -> Facts:
        """Return the values in a form for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_dict(cls, data: Facts) -> Sums:
        """Read what `as_dict` returned.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        sums = cls()

        parts = {
            "counters": sums.counters,
            "gauges": sums.gauges,
            "highest": sums.highest,
        }
        # A worker of an earlier version knows of no highest.
        data = {"highest": {}, **data}
        for part, mine in parts.items():
            for family, values in dict(data[part]).items():
                # "+ 0" raises TypeError unless it is a number.
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


def _raise(values: dict[str, float], key: str, number: float) -> None:
    values[key] = max(values.get(key, number), number)


def _key(labels: tuple[object, ...]) -> str:
    return SEPARATOR.join(map(str, labels))
