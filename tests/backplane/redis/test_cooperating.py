"""Redis between the workers of servers that know no gevent, in processes that nothing is patched in."""

from __future__ import annotations

import socket
import threading

import gevent
import pytest
from redis import exceptions as redis_errors

from tests.backplane.conftest import APPS, ask, environment, wait_for
from tests.backplane.redis.test_backplane import Everybody, here
from tests.support import redis, servers
from tests.support.crowd import Crowd
from tina4_wsgi import publish
from tina4_wsgi.backplane.redis.channels import RedisNode
from tina4_wsgi.backplane.redis.cooperating import open_connection
from tina4_wsgi.backplane.redis.health import Health
from tina4_wsgi.backplane.redis.subscriber import RedisSubscriber
from tina4_wsgi.config import Config

PATH = "/ws/hall/a"
ENOUGH_S = 20.0


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


def test_others_go_on_while_one_waits_and_closing_ends_the_wait(broker):
    connection = open_connection(Config(backplane_url=broker.url), ENOUGH_S, RedisNode())

    def ask():
        connection.connect()
        connection.send_command("PING")
        return connection.read_response()

    def wait_for_ever():
        with pytest.raises((OSError, redis_errors.RedisError, ValueError, AttributeError)):
            connection.read_response()

    assert gevent.spawn(ask).get(timeout=ENOUGH_S) == b"PONG"
    waiting = gevent.spawn(wait_for_ever)
    gevent.sleep(0)  # it waits in a thread by now, and this greenlet runs
    connection.disconnect()
    waiting.get(timeout=ENOUGH_S / 2)

    with pytest.raises(ConnectionError, match="was closed"):
        connection.connect()


def threads_of_redis():
    return [one for one in threading.enumerate() if one.name.startswith("tina4-redis")]


def wait_in_the_hub(is_done):
    with gevent.Timeout(ENOUGH_S):
        while not is_done():
            gevent.sleep(0.01)


def test_who_tries_again_and_again_holds_no_thread_for_what_failed():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{nobody.getsockname()[1]}"
        for _ in range(3):
            connection = open_connection(Config(backplane_url=url), ENOUGH_S, RedisNode())
            with gevent.Timeout(ENOUGH_S), pytest.raises(redis_errors.ConnectionError):
                connection.connect()

    wait_in_the_hub(lambda: not threads_of_redis())


def test_a_subscriber_without_redis_holds_no_thread_between_its_tries():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{nobody.getsockname()[1]}"
        tries = []
        subscriber = RedisSubscriber(
            Config(backplane_url=url),
            Health(),
            RedisNode(),
            lambda channel, message: None,
            lambda: tries.append(url),
        )
        wait_in_the_hub(lambda: len(tries) > 1)
        subscriber.close()

    wait_in_the_hub(lambda: not threads_of_redis())
