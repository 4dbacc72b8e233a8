"""Whether Redis is there: what is counted, what is logged, and how long the next try waits."""

from __future__ import annotations

import logging

import pytest

from tina4_wsgi.backplane.redis import health as health_module
from tina4_wsgi.backplane.redis.health import Backoff, Health


@pytest.fixture
def log(caplog):
    with caplog.at_level(logging.WARNING, "tina4_wsgi.backplane"):
        yield caplog


def test_all_is_well_at_the_start():
    health = Health()

    assert (health.is_up, health.outages, health.error) == (True, 0, "")
    assert not health.is_down("publisher")


def test_an_outage_is_told_once_whichever_connections_it_takes(log):
    health = Health()

    for part in ("publisher", "subscriber", "publisher"):
        health.down(part, f"{part} failed")

    assert (health.is_up, health.outages, health.error) == (False, 1, "publisher failed")
    assert health.is_down("subscriber")
    assert log.messages == [
        "redis is away, broadcasts reach this process only until it is back: publisher failed"
    ]


def test_it_is_over_when_the_last_connection_is_back(log):
    health = Health()
    health.down("publisher", "gone")
    health.down("subscriber", "gone")
    health.dropped_messages = 3
    log.clear()

    health.up("publisher")
    assert (health.is_up, health.error, log.messages) == (False, "gone", [])

    health.up("subscriber")
    health.up("subscriber")
    assert (health.is_up, health.error) == (True, "")
    assert log.messages == ["redis is back; 3 messages were dropped so far"]


def test_each_outage_counts():
    health = Health()

    for error in ("first", "second"):
        health.down("publisher", error)
        assert health.error == error
        health.up("publisher")

    assert health.outages == 2


def test_forbidden_channels_are_kept_until_they_are_allowed():
    health = Health()

    for channel in ("a", "b", "a"):
        health.deny(channel)
    health.allow("a")
    health.allow("never denied")

    assert (list(health.denied), health.is_up) == (["b"], True)


def test_only_the_first_hundred_forbidden_channels_are_kept():
    health = Health()

    for number in range(102):
        health.deny(f"channel {number}")

    assert list(health.denied) == [f"channel {number}" for number in range(100)]


@pytest.fixture
def longest(monkeypatch):
    """Make every random part as long as it may be."""
    asked = []

    def uniform(least, most):
        asked.append((least, most))
        return most

    monkeypatch.setattr(health_module.random, "uniform", uniform)
    return asked


def test_each_try_waits_twice_as_long_up_to_two_seconds(longest):
    backoff = Backoff()

    assert [backoff.next_s() for _ in range(7)] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert set(longest) == {(0.5, 1.0)}


def test_after_a_success_the_waits_begin_short(longest):
    backoff = Backoff()
    for _ in range(3):
        backoff.next_s()

    backoff.reset()

    assert backoff.next_s() == 0.1
