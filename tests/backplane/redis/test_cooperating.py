"""Redis between the workers of servers that know no gevent, in processes that nothing is patched in."""

from __future__ import annotations

import pytest

from tests.backplane.conftest import APPS, ask, environment, wait_for
from tests.backplane.redis.test_backplane import Everybody, here
from tests.support import redis, servers
from tests.support.crowd import Crowd
from tina4_wsgi import publish

PATH = "/ws/hall/a"


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with redis.running(tmp_path_factory.mktemp("redis")) as broker:
        yield broker


@pytest.fixture(scope="module")
def masters(tmp_path_factory, broker):
    """A gunicorn with threads and one with sync workers, two each, as on two machines."""
    env = environment(backplane="redis", backplane_url=broker.url, max_connections=10)
    folder = tmp_path_factory.mktemp("masters")
    with (
        servers.gunicorn(
            "hall:app", APPS, folder / "one.log", "-w", "2", worker_class="gthread", env=env
        ) as one,
        servers.gunicorn(
            "hall:app", APPS, folder / "two.log", "-w", "2", worker_class="sync", env=env
        ) as two,
    ):
        yield one, two
        one.end()
        two.end()


@pytest.fixture
def everybody(masters):
    with Crowd(masters[0].address) as crowd:
        yield Everybody(masters, crowd)
    wait_for(lambda: all(here(master) == 0 for master in masters), "everybody's leaving")


def test_everybody_gets_each_message_once_and_in_order(everybody):
    everybody.exchange()


def test_what_other_programs_publish_and_questions_span_machines(masters, broker, everybody):
    receipt = publish(PATH, "news", backplane="redis", backplane_url=broker.url)
    everybody.crowd.listen_until(
        lambda: all("news" in one.texts for one in everybody.members), "what is published"
    )

    assert receipt.processes == 4
    assert ask(masters[0], "/state/a")["count"] == len(everybody.members)
    for master in masters:
        assert "needs patched sockets" not in master.log


@pytest.mark.deadline(90)
@pytest.mark.leaks("the new redis-server outlives the test")
def test_after_an_outage_everybody_is_heard_again(broker, everybody):
    broker.stop()
    everybody.hear_from(everybody.members[0], "alone")
    broker.start()

    everybody.wait_until_linked()
