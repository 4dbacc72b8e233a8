"""The Redis backplane of one process: what it does when it ends, and when Redis answers something
else than hoped.

It needs patched sockets, so each case is a process; see apps/redis_inside.py.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from redis import ResponseError

from tests.backplane.conftest import APPS
from tests.support import redis
from tests.support.servers import ROOT
from tina4_wsgi.backplane.envelope import Kind
from tina4_wsgi.backplane.redis.channels import RedisNode
from tina4_wsgi.backplane.redis.outside import RedisOutsider
from tina4_wsgi.config import Config
from tina4_wsgi.errors import BackplaneError

RUN_S = 20.0


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with redis.running(tmp_path_factory.mktemp("redis")) as broker:
        yield broker


def run(*arguments):
    """Run one case to its end; gives what it printed, errors included."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(APPS / "redis_inside.py"), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize(
    "case",
    [
        "who_retires_sends_all_of_it_and_hears_no_more",
        "who_closes_gives_the_connections_back",
        "long_names_are_hashed_and_reach_everybody",
        "who_enters_and_leaves_at_once_is_not_subscribed",
        "an_error_of_ours_while_handing_on_is_logged_and_the_next_arrives",
        "what_a_user_may_not_publish_is_dropped_and_told_once",
        "what_comes_twice_is_heard_once_and_little_is_remembered",
        "a_url_that_can_not_be_read_is_told_at_the_start",
        "a_name_that_utf8_can_not_express_makes_nobody_deaf_or_mute",
        "a_message_that_can_not_be_laid_out_is_dropped_and_the_next_arrives",
        "what_an_acl_forbids_is_told_once_and_all_else_is_up",
        "what_nobody_can_do_without_is_an_outage_while_it_is_forbidden",
        "a_huge_number_in_its_name_mutes_nobody",
        "a_question_that_makes_us_fail_is_answered_with_nothing",
    ],
)
def test_with_a_redis(broker, case):
    assert run(case, broker.url) == "done\n"


def test_a_guest_that_may_not_publish_is_told_so(broker):
    with broker.talking() as client:
        client.execute_command(
            "ACL", "SETUSER", "guest", "on", ">pw", "+@all", "-publish", "allchannels"
        )
    guest = RedisOutsider(Config(backplane_url=broker.url.replace("redis://", "redis://guest:pw@")))

    with pytest.raises(BackplaneError, match=r"NoPermission.*publish") as raised:
        guest.carry(Kind.PATH, "/x", b"\x81\x05hello")

    assert "pw" not in str(raised.value)
    guest.close()


def test_an_error_that_does_not_say_where_a_shard_is_sends_nobody_there():
    place = RedisNode()

    assert not place.is_elsewhere(ResponseError("MOVED somewhere"))
    assert not place.is_elsewhere(ResponseError("ERR no"))
    assert place.address is None


@pytest.mark.parametrize(
    "case",
    [
        "a_shard_that_has_moved_gets_the_message_where_it_is_now",
        "an_answer_that_can_not_be_parsed_is_an_outage",
        "a_subscriber_whose_shard_leaves_connects_again",
        "a_subscriber_that_can_not_write_connects_again",
    ],
)
def test_with_answers_of_a_cluster_that_changes(case):
    assert run(case) == "done\n"
