"""What becomes of kept messages when Redis fails: nobody loses one in silence, or gets it twice."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import pytest

from tests.backplane.conftest import APPS, ask, environment
from tests.backplane.redis.kept_hall import Hall, settings, texts
from tests.support import redis, servers
from tests.support.forwarding import forwarding
from tina4_wsgi import publish

FREEZE_S = 3.0


@contextlib.contextmanager
def halls(folder, url, **more):
    """Two machines with one worker each, and a client and a page on each."""
    env = environment(backplane="redis", backplane_url=url, max_connections=200, **more)
    with (
        servers.gunicorn("kept_in_redis:app", APPS, folder / "1.log", "-w", "1", env=env) as one,
        servers.gunicorn("kept_in_redis:app", APPS, folder / "2.log", "-w", "1", env=env) as two,
    ):
        with Hall((one, two)) as hall:
            hall.plain += [hall.settle(hall.crowd, hall.path) for _ in range(2)]
            for _ in range(2):
                hall.page()
            yield hall
        one.end()
        two.end()


@pytest.fixture
def broker(tmp_path):
    with redis.running(tmp_path) as broker:
        yield broker


@pytest.fixture
def hall(tmp_path, broker):
    with halls(tmp_path, broker.url) as hall:
        yield hall


@pytest.fixture
def talk(broker):
    with broker.talking() as client:
        yield client


def speak(hall, prefix, count):
    """Have both clients say something."""
    for text in texts(prefix, count):
        for number, speaker in enumerate(hall.plain):
            speaker.send_text(f"say {number} {text}")


def said(prefix, count):
    return sorted(f"{number} {text}" for number in range(2) for text in texts(prefix, count))


def check_all_heard_once_and_in_one_order(hall, prefix, count):
    order = hall.wait_for_all(2 * count)
    assert sorted(order) == said(prefix, count)
    assert all(one == order for one in hall.heard())
    return order


def check_all_heard_once(hall, prefix, count):
    """As above, though some of it has no number, and order and position are as they may be."""

    def heard():
        for page in hall.pages:
            page.read()
        return [one.texts for one in hall.plain] + [page.messages for page in hall.pages]

    hall.wait(lambda: all(len(one) >= 2 * count for one in heard()), "every word")
    hall.wait(lambda: is_well(hall), "positions")
    assert [sorted(one) for one in heard()] == [said(prefix, count)] * 4


def errors(hall):
    return [error for machine in hall.machines for error in ask(machine, "/state")["errors"]]


def is_well(hall):
    return not any(errors(hall)) and all(page.is_settled for page in hall.pages)


def verdicts(hall):
    return [page.verdicts for page in hall.pages]


@pytest.mark.parametrize("kind", ["pubsub", "normal"])
def test_cut_connections_cost_no_message_and_double_none(hall, talk, kind):
    for _ in range(8):
        speak(hall, "word", 50)
        before = len(hall.heard()[0])
        hall.wait(lambda before=before: len(hall.heard()[0]) > before + 10, "some words")
        for one in talk.client_list(_type=kind):
            if one["name"] == "tina4_wsgi":
                talk.client_kill_filter(_id=one["id"])

    order = hall.wait_for_all(800)
    assert all(one == order for one in hall.heard())
    assert sorted(order) == sorted(said("word", 50) * 8)
    assert verdicts(hall) == [["n"]] * 2


def test_lost_scripts_are_loaded_again(hall, talk):
    for _ in range(5):
        speak(hall, "word", 40)
        before = len(hall.heard()[0])
        hall.wait(lambda before=before: len(hall.heard()[0]) > before + 5, "some words")
        talk.script_flush()

    order = hall.wait_for_all(400)
    assert all(one == order for one in hall.heard())
    assert sorted(order) == sorted(said("word", 40) * 5)
    assert verdicts(hall) == [["n"]] * 2


def test_a_redis_that_stands_still_holds_up_nobody_and_then_all_is_heard_everywhere(hall, broker):
    speak(hall, "before", 5)
    hall.wait_for_all(10)
    for one in hall.plain:
        one.frames.clear()
    for page in hall.pages:
        page.messages.clear()

    broker.freeze()
    frozen_until_s = time.monotonic() + FREEZE_S
    speak(hall, "word", 20)
    hall.wait(lambda: all(len(one.texts) >= 20 for one in hall.plain), "those of the same machine")
    hall.wait(lambda: all(page.read() or page.position == "-" for page in hall.pages), "void ones")
    hall.wait(lambda: time.monotonic() > frozen_until_s, "longer than all timeouts")
    broker.thaw()

    check_all_heard_once(hall, "word", 20)
    assert verdicts(hall) == [["n"]] * 2
    check_a_page_that_comes_back_misses_nothing(hall)


def check_a_page_that_comes_back_misses_nothing(hall):
    page = hall.pages[0]
    page.heard.clear()
    page.cut()
    hall.plain[1].frames.clear()
    for text in texts("later", 30):
        hall.plain[1].send_text(f"say {text}")
    hall.wait(lambda: len(hall.plain[1].texts) == 30, "later words")
    hall.come(page)
    assert (page.verdicts[-1], page.heard) == ("y", texts("later", 30))


@pytest.mark.parametrize("is_saved", [False, True])
def test_a_restart_is_told_and_all_goes_on(tmp_path, is_saved):
    options = ["--appendonly", "yes", "--appendfsync", "always"] if is_saved else []
    with redis.running(tmp_path, *options) as broker, halls(tmp_path, broker.url) as hall:
        speak(hall, "before", 5)
        hall.wait_for_all(10)
        away = hall.pages.pop()
        away.cut()

        broker.stop()
        broker.start()

        hall.wait(lambda: all(page.is_settled and "g" in page.verdicts for page in hall.pages), "g")
        hall.wait(lambda: is_well(hall), "positions")
        assert len(hall.past()) == (10 if is_saved else 0)
        hall.come(away)
        assert away.verdicts == ["n", "g"]
        hall.pages.append(away)
        check_a_page_that_comes_back_misses_nothing(hall)


def test_what_is_said_while_redis_is_gone_reaches_those_of_the_same_machine(hall, broker):
    broker.stop()
    speak(hall, "word", 5)
    hall.wait(lambda: all(len(one.texts) >= 5 for one in hall.plain), "those of the same machine")
    broker.start()

    check_all_heard_once(hall, "word", 5)
    check_a_page_that_comes_back_misses_nothing(hall)


def test_who_deletes_everything_begins_anew(hall, talk):
    speak(hall, "word", 5)
    hall.wait_for_all(10)
    away = hall.pages.pop()
    away.cut()
    epoch = hall.pages[0].position.partition(".")[0]

    talk.flushall()
    hall.plain[0].send_text("say after")
    hall.wait_for_all(11)
    hall.wait(lambda: is_well(hall), "positions")

    assert hall.pages[0].position.partition(".")[0] != epoch
    assert verdicts(hall) == [["n"]]
    hall.come(away)
    assert away.verdicts == ["n", "g"]


def take_over(hall, talk, port):
    """Have a Redis take the data set of another, and then stand by itself."""
    talk.replicaof("127.0.0.1", port)
    hall.wait(lambda: talk.info("replication")["master_link_status"] == "up", "a replica")
    talk.replicaof("NO", "ONE")


def fall_behind(hall, other_talk, port):
    """Have another Redis know the first half of what is said; return a page that heard all."""
    speak(hall, "one", 5)
    hall.wait_for_all(10)
    take_over(hall, other_talk, port)
    speak(hall, "two", 5)
    hall.wait_for_all(20)

    away = hall.pages.pop()
    away.cut()
    return away


def test_a_data_set_that_went_back_begins_anew(tmp_path, hall, broker, talk):
    (tmp_path / "other").mkdir()
    with redis.running(tmp_path / "other") as other, other.talking() as other_talk:
        away = fall_behind(hall, other_talk, broker.port)

        take_over(hall, talk, other.port)

    hall.plain[0].send_text("say after")
    hall.wait(lambda: all("after" in one for one in hall.heard()), "what is said behind it")
    hall.wait(lambda: is_well(hall), "positions")
    hall.come(away)
    assert away.verdicts == ["n", "g"]


def test_a_failover_to_a_replica_that_lags_is_told(tmp_path, broker, talk):
    (tmp_path / "other").mkdir()
    with (
        redis.running(tmp_path / "other") as other,
        other.talking() as other_talk,
        forwarding(broker.port) as address,
        halls(tmp_path, f"redis://127.0.0.1:{address.port}") as hall,
    ):
        away = fall_behind(hall, other_talk, broker.port)

        address.lead_to(other.port)

        hall.wait(lambda: all(page.is_settled and "g" in page.verdicts for page in hall.pages), "g")
        hall.come(away)
        assert away.verdicts == ["n", "g"]
        hall.pages.append(away)
        hall.wait(lambda: is_well(hall), "positions")
        check_a_page_that_comes_back_misses_nothing(hall)


def test_a_replica_that_can_not_keep_is_like_a_redis_that_is_away(hall, talk):
    talk.replicaof("127.0.0.1", redis.free_port())
    speak(hall, "word", 5)
    hall.wait(lambda: all(len(one.texts) >= 5 for one in hall.plain), "those of the same machine")
    hall.wait(lambda: all(errors(hall)), "an error in the state")
    talk.replicaof("NO", "ONE")

    check_all_heard_once(hall, "word", 5)


@pytest.mark.parametrize("fault", ["memory", "acl", "type"])
def test_what_redis_refuses_is_heard_by_everybody_and_ends_the_epoch(hall, talk, fault):
    epoch = hall.pages[0].position.partition(".")[0]
    away = hall.pages.pop()
    away.cut()
    begin, end = {
        "memory": (
            lambda: talk.config_set("maxmemory", "1"),
            lambda: talk.config_set("maxmemory", "0"),
        ),
        "acl": (
            lambda: talk.execute_command("ACL SETUSER default -evalsha"),
            lambda: talk.execute_command("ACL SETUSER default +@all"),
        ),
        "type": (
            lambda: talk.set(f"tina4:kept:path:{hall.path}", "no stream"),
            lambda: talk.delete(f"tina4:kept:path:{hall.path}"),
        ),
    }[fault]

    begin()
    speak(hall, "word", 5)
    check_all_heard_once_of_plain(hall, "word", 5)
    hall.wait(lambda: all("-" in _positions(page) for page in hall.pages), "void positions")
    end()
    hall.wait(lambda: is_well(hall), "positions")

    assert hall.pages[0].position.partition(".")[0] != epoch
    hall.come(away)
    assert away.verdicts == ["n", "g"]
    hall.pages.append(away)
    check_a_page_that_comes_back_misses_nothing(hall)


def _positions(page):
    """The marks that a page got behind its greeting."""
    return [text[1:-1] or "-" for text in page.member.texts if text.startswith("#")]


def check_all_heard_once_of_plain(hall, prefix, count):
    hall.wait(lambda: all(len(one.texts) >= 2 * count for one in hall.plain), "every word")
    assert [sorted(one.texts) for one in hall.plain] == [said(prefix, count)] * len(hall.plain)


def test_a_publisher_whose_message_is_refused_still_reaches_everybody(hall, broker, talk):
    talk.config_set("maxmemory", "1")
    publish(hall.path, "word", **settings(broker))
    hall.wait(lambda: all(one.texts == ["word"] for one in hall.plain), "the word")
    hall.wait(lambda: all(errors(hall)), "an error in the state")
    talk.config_set("maxmemory", "0")

    hall.wait(lambda: is_well(hall), "positions")


@pytest.mark.parametrize("node", [0, 1])
def test_in_a_cluster_one_shard_keeps_it_whichever_node_the_url_names(tmp_path, node):
    with (
        redis.cluster(tmp_path) as nodes,
        halls(tmp_path, nodes[node].url, backplane_sharded=1) as hall,
    ):
        speak(hall, "word", 50)
        check_all_heard_once_and_in_one_order(hall, "word", 50)
        check_a_page_that_comes_back_misses_nothing(hall)
        assert len(hall.past()) == 130


def test_a_worker_that_is_killed_costs_its_pages_nothing(hall):
    page = hall.pages[0]
    speak(hall, "before", 20)
    hall.wait_for_all(40)
    for server in hall.machines:
        kill_worker(server)
    other = hall.settle(hall.crowd, hall.path)
    for text in texts("later", 20):
        other.send_text(f"say {text}")
    hall.wait(lambda: len(other.texts) == 20, "later words")

    hall.come(page)

    assert page.verdicts == ["n", "y"]
    assert page.heard[-20:] == texts("later", 20)
    assert len(page.heard) == 60


def kill_worker(server):
    os.kill(ask(server, "/state")["pid"], signal.SIGKILL)
