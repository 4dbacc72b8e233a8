"""What a route and an engine count: buckets, closes, times, and what is flushed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tina4_wsgi.websocket import counters
from tina4_wsgi.websocket.counters import Histogram, Meter, Tally


@pytest.mark.parametrize(
    ("value", "bucket"), [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (2**63, 64), (2**64 - 1, 64)]
)
def test_a_value_is_in_the_bucket_of_its_bits(value, bucket):
    histogram = Histogram()

    histogram.add(value)

    assert [place for place, count in enumerate(histogram.counts) if count] == [bucket]
    assert (histogram.total, len(histogram.counts)) == (value, 65)


def test_values_are_counted_and_added_up():
    histogram = Histogram()

    for value in (2, 3, 3):
        histogram.add(value)

    assert (histogram.counts[2], histogram.total) == (3, 8)


def test_a_tally_takes_over_the_numbers_of_connections_that_are_gone():
    tally = Tally()
    connection = SimpleNamespace(
        message_count=1,
        transport=SimpleNamespace(sent_messages=2, received_bytes=3, sent_bytes=4),
    )

    for _ in range(2):
        tally.take_over(connection)

    assert (tally.messages_received, tally.messages_sent) == (2, 4)
    assert (tally.received_bytes, tally.sent_bytes) == (6, 8)


@pytest.mark.parametrize(
    ("code", "is_peers", "label"),
    [
        (1000, True, 1000),
        (2999, True, 2999),
        (3000, True, "other"),
        (4999, True, "other"),
        (3000, False, 3000),
    ],
)
def test_codes_from_3000_on_are_one_series_if_clients_chose_them(code, is_peers, label):
    tally = Tally()

    for _ in range(2):
        tally.count_close(code, is_peers=is_peers)

    assert tally.closes == {label: 2}


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves 5 ns each time it is looked at."""
    ticks = iter(range(0, 1000, 5))
    monkeypatch.setattr(counters, "time", SimpleNamespace(perf_counter_ns=lambda: next(ticks)))


def test_a_timed_callback_does_the_same_and_its_time_is_counted_by_event(clock):
    tally, told = Tally(), []

    def callback(connection, event, data):
        told.append((connection, event, data))
        return "result"

    timed = tally.timed(callback)

    assert [timed("anna", "message", "hi"), timed("anna", "close", "")] == ["result", "result"]
    assert told == [("anna", "message", "hi"), ("anna", "close", "")]
    assert sorted(tally.callback_times) == ["close", "message", "open"]
    assert [(times.total, times.counts[3]) for times in tally.callback_times.values()] == [
        (0, 0),
        (5, 1),
        (5, 1),
    ]


def test_the_time_of_a_callback_that_raises_is_counted_too(clock):
    tally = Tally()

    def callback(connection, event, data):
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        tally.timed(callback)("anna", "open", "")

    assert tally.callback_times["open"].total == 5


class Group:
    def __init__(self, pending: list[bytes], size: int) -> None:
        self.pending, self.size, self.flushes = pending, size, 0

    def __len__(self) -> int:
        return self.size

    def flush(self) -> None:
        self.flushes += 1
        self.pending, self.size = [], 0  # what a flush leaves must not be counted


def test_a_flush_is_measured_and_its_receivers_are_counted(clock):
    meter, group = Meter(), Group([b"frame"], 3)

    meter.flush(group)

    assert (group.flushes, meter.fanout.total, meter.flush_times.total) == (1, 3, 5)
    assert (sum(meter.fanout.counts), sum(meter.flush_times.counts)) == (1, 1)


@pytest.mark.parametrize("group", [Group([], 3), Group([b"frame"], 0)], ids=["no frame", "nobody"])
def test_a_flush_of_nothing_or_for_nobody_is_not_counted(clock, group):
    meter = Meter()

    meter.flush(group)

    assert (group.flushes, sum(meter.fanout.counts), sum(meter.flush_times.counts)) == (1, 0, 0)
