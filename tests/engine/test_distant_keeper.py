"""The journal in Redis as one hub uses it: order, what was missed, and what happens without Redis."""

from __future__ import annotations

import itertools

import pytest

from tests.support import redis
from tests.support.kept_stations import CHAT, LIMITS, stations, wait_until
from tina4_wsgi.backplane.isolation import isolation
from tina4_wsgi.config import Config

_prefixes = itertools.count()


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with redis.running(tmp_path_factory.mktemp("redis")) as broker:
        yield broker


@pytest.fixture
def come(broker, monkeypatch):
    """Opens a process of one app, for one more with each call."""
    monkeypatch.setattr(isolation, "is_on", False)
    config = Config(
        backplane="redis", backplane_url=broker.url, backplane_prefix=f"keeper{next(_prefixes)}"
    )
    with stations(config) as come:
        yield come


def hear(station, count):
    """Wait until so many texts are heard, and give them."""
    wait_until(lambda: len(station.texts) >= count, f"{count} messages")
    return station.texts


def test_what_was_missed_is_nothing_where_nothing_was_said_behind_it(come):
    speaker, other = come(), come()
    speaker.enter()
    speaker.say("one")
    hear(speaker, 1)

    other.keeper.hear()

    assert other.heard_since(CHAT) is None
    assert (other.missed(0), other.missed(1)) == (["one"], [])
