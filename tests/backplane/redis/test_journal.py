"""The journal in Redis keeps what every journal promises; `tests.journal` says what that is."""

from __future__ import annotations

import itertools

import pytest

from tests.support import redis
from tina4_wsgi.backplane.redis.journal import RedisJournal
from tina4_wsgi.config import Config

_prefixes = itertools.count()


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with redis.running(tmp_path_factory.mktemp("redis")) as broker:
        yield broker


@pytest.fixture
def open_journal(broker):
    """Opens one journal, for one more user with each call."""
    config = Config(
        backplane="redis", backplane_url=broker.url, backplane_prefix=f"app{next(_prefixes)}"
    )
    opened = []

    def open_another():
        opened.append(RedisJournal(config, has_clock=False))
        return opened[-1]

    yield open_another
    for one in opened:
        one.close()


@pytest.fixture
def journal(open_journal):
    return open_journal()
