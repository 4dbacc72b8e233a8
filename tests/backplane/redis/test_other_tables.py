"""Processes whose tables of routes differ, as in the middle of a deploy: nobody is left out."""

from __future__ import annotations

import itertools

import pytest

from tests.backplane.conftest import APPS, environment
from tests.backplane.redis.kept_hall import Hall
from tests.support import redis, servers
from tests.support.kept_stations import CHAT, NEWS, stations, wait_until
from tina4_wsgi.config import Config

_prefixes = itertools.count()


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with redis.running(tmp_path_factory.mktemp("redis")) as broker:
        yield broker


@pytest.fixture
def come(broker):
    """Opens a process of one app; `keeps` are the topics of its table that keep history."""
    config = Config(
        backplane="redis", backplane_url=broker.url, backplane_prefix=f"tables{next(_prefixes)}"
    )
    with stations(config) as come:
        yield come


@pytest.mark.parametrize("keeps", [(), (NEWS,)])
def test_what_others_keep_is_an_ordinary_broadcast_where_the_table_keeps_nothing(come, keeps):
    speaker, other = come(), come(keeps)
    speaker.enter()
    other.enter()

    speaker.say("one")
    speaker.say("two", NEWS)
    speaker.say("three")
    wait_until(lambda: len(other.heard) == 2, "what is kept elsewhere")

    assert other.heard == ["one", "three"]
    assert speaker.texts == ["one", "three"]


def test_a_room_that_is_declared_when_somebody_is_in_it_keeps_history_from_then_on(come):
    speaker, other = come(), come(())
    speaker.enter()
    other.enter()
    speaker.say("one")
    wait_until(lambda: other.heard == ["one"], "what is kept elsewhere")

    other.kept_topics.add(CHAT)
    other.begin_to_keep()
    speaker.say("two")
    wait_until(lambda: len(other.heard) == 2, "what is kept")

    assert other.heard == ["one", (2, "two")]


def test_clients_of_a_server_that_runs_the_table_of_before_hear_what_the_new_one_keeps(
    tmp_path, broker
):
    settings = {
        "backplane": "redis",
        "backplane_url": broker.url,
        "backplane_prefix": f"tables{next(_prefixes)}",
        "max_connections": 200,
    }
    env = environment(**settings)
    before = {**env, "KEPT_IN_REDIS": ""}
    app, options = "kept_in_redis:app", ("-w", "1")
    with (
        servers.gunicorn(app, APPS, tmp_path / "1.log", *options, env=env) as new,
        servers.gunicorn(app, APPS, tmp_path / "2.log", *options, env=before) as old,
    ):
        with Hall((new, old)) as hall:
            one, two = (hall.settle(hall.crowd, hall.path) for _ in range(2))
            one.send_text("say kept")
            hall.wait(lambda: two.texts == ["kept"] == one.texts, "what is kept")
            two.send_text("say not kept")
            hall.wait(lambda: two.texts == ["kept", "not kept"] == one.texts, "what is not")
        new.end()
        old.end()
