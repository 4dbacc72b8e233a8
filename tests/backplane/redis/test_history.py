"""What is kept in Redis: one order for all machines, and nothing missed, whatever happens to it."""

from __future__ import annotations

import contextlib

import pytest

from tests.backplane.conftest import APPS, ask, environment, settle
from tests.backplane.redis.kept_hall import Hall, settings, texts
from tests.support import redis, servers
from tests.support.crowd import Crowd
from tests.support.pages import Page
from tina4_wsgi import UsageError, publish
from tina4_wsgi.backplane.publishing import Publisher

APP = "kept_in_redis:app"


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with redis.running(tmp_path_factory.mktemp("redis")) as broker:
        yield broker


@pytest.fixture(scope="module", params=["gevent", "gthread"])
def machines(request, tmp_path_factory, broker):
    """Two servers with two workers each, as on two machines."""
    kind = request.param
    options = ("-w", "2", "--threads", "8")
    env = environment(backplane="redis", backplane_url=broker.url, max_connections=200)
    folder = tmp_path_factory.mktemp("machines")
    with (
        servers.gunicorn(APP, APPS, folder / "1.log", *options, worker_class=kind, env=env) as one,
        servers.gunicorn(APP, APPS, folder / "2.log", *options, worker_class=kind, env=env) as two,
    ):
        yield one, two
        one.end()
        two.end()


@pytest.fixture
def hall(machines, broker):
    """Clients and pages on both machines, on a path of their own."""
    with Hall(machines) as hall:
        yield hall


# -- as it should be


def test_everybody_hears_the_same_order_whoever_speaks(hall):
    hall.workers()

    for text in texts("word", 100):
        for number, speaker in enumerate(hall.plain):
            speaker.send_text(f"say {number} {text}")
    order = hall.wait_for_all(400)

    assert all(one == order for one in hall.heard())
    assert sorted(order) == sorted(f"{n} {text}" for n in range(4) for text in texts("word", 100))


def test_a_page_gets_what_was_said_while_it_was_away(hall):
    page, speaker = hall.page(), hall.settle(hall.crowd, hall.path)
    page.cut()
    for text in texts("word", 600):
        speaker.send_text(f"say {text}")
    hall.wait(lambda: len(speaker.texts) == 600, "what is said")

    hall.come(page)

    assert (page.verdicts, page.heard) == (["n", "y"], texts("word", 600))


def test_a_page_that_comes_and_goes_amid_talk_misses_nothing_and_gets_nothing_twice(hall):
    speakers = [hall.settle(hall.crowd, hall.path) for _ in range(2)]
    page = hall.page()
    said = 0
    for _ in range(12):
        for number in range(said, said + 50):
            speakers[number % 2].send_text(f"say {number}")
        said += 50
        hall.wait(lambda most=said: len(page.heard) > most - 40 or page.read(), "some of it")
        page.cut()
        hall.come(page)
    hall.wait(lambda: page.read() or len(page.heard) >= said, "the rest")

    hall.wait(lambda: all(len(one.texts) >= said for one in speakers), "the rest")
    assert page.heard == speakers[0].texts == speakers[1].texts
    assert set(page.verdicts[1:]) == {"y"}


@pytest.mark.parametrize("machines", ["gevent"], indirect=True)
def test_what_is_sent_in_the_hub_behind_a_broadcast_comes_behind_it(hall):
    check_what_is_sent_behind(hall, "hub")


@pytest.mark.parametrize("how", ["answer", "thread"])
def test_what_is_sent_behind_a_broadcast_comes_behind_it(hall, how):
    check_what_is_sent_behind(hall, how)


def check_what_is_sent_behind(hall, how):
    speaker = hall.settle(hall.crowd, hall.path)

    for text in texts("word", 50):
        speaker.send_text(f"{how} {text}")
    hall.wait(lambda: len(speaker.texts) == 100, "words and answers")

    said = [one for text in texts("word", 50) for one in (text, f"behind {text}")]
    heard = speaker.texts
    assert sorted(heard) == sorted(said)
    assert all(heard.index(text) < heard.index(f"behind {text}") for text in texts("word", 50))


def test_what_is_not_kept_comes_behind_what_is_and_has_no_number(hall):
    hall.workers()

    hall.plain[0].send_text("add word")
    hall.wait(lambda: all(len(one.texts) == 2 for one in hall.plain), "both")
    hall.wait(lambda: all(page.read() or page.others for page in hall.pages), "both")

    assert [one.texts for one in hall.plain] == [["word", "behind word"]] * 4
    assert [(page.heard, page.others) for page in hall.pages] == [(["word"], ["behind word"])] * 4


def test_who_says_something_and_closes_hears_it_before_the_end(hall):
    speaker = hall.settle(hall.crowd, hall.path)

    speaker.send_text("close word")
    hall.wait(lambda: speaker.close_frame is not None, "the end")

    assert speaker.texts == ["word"]


def test_what_was_for_others_is_left_out_when_its_author_comes_back(hall):
    page, other = hall.page(), hall.settle(hall.crowd, hall.path)
    page.say("others mine")
    hall.wait(lambda: other.texts == ["mine"], "the other's hearing it")
    page.cut()
    other.send_text("say theirs")
    hall.wait(lambda: other.texts == ["mine", "theirs"], "the other's hearing it")

    page.position = page.position.partition(".")[0] + ".0-0"
    hall.come(page)

    assert "mine" not in page.heard
    assert "theirs" in page.heard


def test_what_was_said_under_a_key_is_not_said_again(hall):
    hall.workers()

    for speaker in hall.plain:
        speaker.send_text(f"once {hall.name}")
        speaker.send_text("say behind")
    hall.wait_for_all(5)

    assert [sorted(set(one)) for one in hall.heard()] == [["behind", hall.name]] * 8
    assert all(one.count(hall.name) == 1 for one in hall.heard())


def test_a_newcomer_gets_the_latest_where_the_route_says_so(hall):
    hall.path = f"/ws/latest/{hall.name}"
    speaker = hall.settle(hall.crowd, hall.path)
    for text in texts("word", 9):
        speaker.send_text(text)
    hall.wait(lambda: len(speaker.texts) == 9, "the words")

    newcomers = [hall.settle(hall.crowd, hall.path) for _ in range(4)]
    hall.wait(lambda: all(len(one.texts) >= 2 for one in newcomers), "the latest")

    assert [one.texts for one in newcomers] == [["word 7", "word 8"]] * 4


def test_too_much_was_missed(hall):
    hall.path = f"/ws/latest/{hall.name}"
    page, speaker = hall.page(), hall.settle(hall.crowd, hall.path)
    page.cut()
    for text in texts("word", 6):
        speaker.send_text(text)
    hall.wait(lambda: len(speaker.texts) == 6, "the words")

    hall.come(page)

    assert page.verdicts == ["n", "g"]
    assert page.heard == ["word 4", "word 5"]


def test_a_view_reads_the_past_and_a_page_closes_the_gap_behind_its_data(hall):
    speaker = hall.settle(hall.crowd, hall.path)
    speaker.send_text("say one")
    hall.wait(lambda: speaker.texts == ["one"], "a word")
    since = ask(hall.machines[0], f"/position/{hall.name}")
    speaker.send_text("say two")
    hall.wait(lambda: len(speaker.texts) == 2, "a word")

    page = Page(hall.crowd, hall.path, hall.settle)
    page.position = since
    hall.come(page)

    assert (page.verdicts, page.heard) == (["y"], ["two"])
    assert [hall.past(0), hall.past(1)] == [["one", "two"]] * 2


def test_what_was_forgotten_is_gone_and_who_missed_it_is_told(hall):
    page, speaker = hall.page(), hall.settle(hall.crowd, hall.path)
    page.cut()
    speaker.send_text("say one")
    hall.wait(lambda: speaker.texts == ["one"], "a word")

    speaker.send_text("forget")
    hall.wait(lambda: hall.past() == [], "the forgetting")
    hall.come(page)

    assert (page.verdicts, page.heard) == (["n", "g"], [])


# -- publishers


def test_a_publisher_keeps_what_it_says(hall, broker):
    page = hall.page()
    other = hall.page()
    page.cut()
    channel = f"tina4:path:{hall.path}"
    with broker.talking() as talk:
        # The worker of the page that is gone must have noticed.
        hall.wait(lambda: talk.pubsub_numsub(channel) == [(channel, 1)], "one subscription")

    receipt = publish(hall.path, "word", **settings(broker))
    hall.wait(lambda: other.read() or other.heard == ["word"], "the word")
    hall.come(page)

    assert receipt.processes == 1
    assert (page.verdicts, page.heard) == (["n", "y"], ["word"])


def test_a_publisher_says_once_what_has_a_key(hall, broker):
    page = hall.page()

    with Publisher(**settings(broker)) as publisher:
        for _ in range(3):
            publisher.publish(hall.path, "word", once=f"key {hall.name}")
        publisher.publish(hall.path, "last")
    hall.wait(lambda: page.read() or "last" in page.heard, "the last")

    assert page.heard == ["word", "last"]


def test_a_key_for_a_path_without_history_is_an_error(hall, broker):
    hall.page()

    with pytest.raises(UsageError, match="keeps no history here"):
        publish("/ws/other", "word", once="key", **settings(broker))


def test_what_is_published_while_nothing_serves_is_there_when_somebody_comes(tmp_path, broker):
    env = environment(
        backplane="redis", backplane_url=broker.url, backplane_prefix="alone", max_connections=200
    )

    @contextlib.contextmanager
    def serving(log):
        with servers.gunicorn(APP, APPS, tmp_path / log, "-w", "1", env=env) as server:
            yield server
            server.stop()

    with serving("1.log") as server, Crowd(server.address) as crowd:
        page = Page(crowd, "/ws/kept/alone", lambda crowd, path: settle(crowd, server, path))
        page.come()
        crowd.listen_until(lambda: page.is_settled, "a place")

    receipt = publish("/ws/kept/alone", "word", backplane_prefix="alone", **settings(broker))

    with serving("2.log") as server, Crowd(server.address) as crowd:
        again = Page(crowd, "/ws/kept/alone", lambda crowd, path: settle(crowd, server, path))
        again.me, again.position = page.me, page.position
        again.come()
        crowd.listen_until(lambda: again.is_settled, "a place")
        assert (receipt.processes, again.verdicts, again.heard) == (0, ["y"], ["word"])
