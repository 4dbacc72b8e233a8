"""The journal in Redis as one hub uses it: order, what was missed, and what happens without Redis."""

from __future__ import annotations

import itertools

import gevent
import pytest

from tests.support import redis
from tests.support.kept_stations import CHAT, LIMITS, Station, draft, stations, wait_until
from tina4_wsgi.backplane.isolation import isolation
from tina4_wsgi.config import Config
from tina4_wsgi.engine import distant_keeper as keeper_module
from tina4_wsgi.engine.distant_keeper import DistantKeeper
from tina4_wsgi.journal.contract import Kept, Row
from tina4_wsgi.protocol.framing import text_frame

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


def row(number, text):
    return Row(CHAT, [Kept(number, text_frame(text), "", 0.0)])


def test_what_was_missed_is_nothing_where_nothing_was_said_behind_it(come):
    speaker, other = come(), come()
    speaker.enter()
    speaker.say("one")
    hear(speaker, 1)

    other.keeper.hear()

    assert other.heard_since(CHAT) is None
    assert (other.missed(0), other.missed(1)) == (["one"], [])


# -- saying


def test_what_is_said_is_heard_when_it_comes_back_with_its_number(come):
    speaker, other = come(), come()
    speaker.enter()
    other.enter()

    speaker.say("one")
    speaker.say("two")
    heard_at_once = list(speaker.heard)
    hear(speaker, 2)
    hear(other, 2)

    assert heard_at_once == []
    assert speaker.heard == other.heard == [(1, "one"), (2, "two")]
    assert (speaker.keeper.counts.kept, speaker.keeper.is_pending) == (2, False)


def test_who_is_excluded_is_known_in_the_hub_that_says_it(come):
    speaker = come()
    speaker.enter()
    somebody = object()

    speaker.say("for all")
    speaker.say("for others", exclude=somebody)
    hear(speaker, 2)

    assert speaker.excludes == [None, somebody]


def test_what_was_said_under_a_key_is_counted_and_not_heard_again(come):
    speaker = come()
    speaker.enter()

    for _ in range(2):
        speaker.say("paid", once="invoice-42")
    assert speaker.keeper.settle()

    assert (speaker.texts, speaker.keeper.counts.repeated) == (["paid"], 1)


def test_what_nobody_here_listens_to_is_kept_all_the_same(come):
    speaker = come()

    speaker.say("to nobody here")
    speaker.keeper.settle()
    speaker.keeper.hear()

    assert (speaker.heard, speaker.keeper.counts.kept) == ([], 1)
    assert speaker.missed(0) == ["to nobody here"]


def test_who_settles_waits_until_what_was_said_is_heard(come):
    speaker = come()
    speaker.enter()

    speaker.say("one")
    assert speaker.keeper.settle()

    assert speaker.texts == ["one"]


def test_in_the_hub_nothing_waits_and_what_is_put_behind_comes_behind(come):
    speaker, done = come(), []
    speaker.enter()
    loop = gevent.get_hub().loop

    def say():
        speaker.say("one")
        done.append(speaker.keeper.settle())
        speaker.keeper.put_behind(lambda: done.append(speaker.texts))

    loop.run_callback(say)
    wait_until(lambda: len(done) == 2, "what comes behind")

    assert done == [False, ["one"]]


def test_what_fails_behind_a_broadcast_is_logged_and_holds_up_nobody(come, caplog):
    speaker, done = come(), []
    speaker.enter()

    speaker.say("one")
    speaker.keeper.put_behind(lambda: 1 // 0)
    speaker.keeper.put_behind(done.append, "behind")
    wait_until(lambda: done and caplog.records, "what comes behind")

    assert "what came behind a broadcast failed" in caplog.text


def test_what_is_put_behind_nothing_is_done_at_once(come):
    speaker, done = come(), []

    speaker.keeper.put_behind(done.append, "now")

    assert done == ["now"]


# -- what was missed


def test_what_was_heard_here_is_not_asked_for_again(come, monkeypatch):
    speaker = come()
    speaker.enter()
    for text in ("one", "two", "three"):
        speaker.say(text)
    hear(speaker, 3)
    asked = []
    monkeypatch.setattr(speaker.line, "read_missed", lambda *what: asked.append(what))

    assert (speaker.missed(1), speaker.missed(3), asked) == (["two", "three"], [], [])


def test_more_than_is_kept_is_a_gap_whether_it_was_heard_here_or_not(come):
    speaker, other = come(), come()
    speaker.enter()
    for number in range(LIMITS.most_messages + 1):
        speaker.say(str(number))
    hear(speaker, LIMITS.most_messages + 1)
    other.keeper.hear()

    assert (speaker.missed(0), other.missed(0)) == (None, None)
    assert len(speaker.missed(1)) == len(other.missed(1)) == LIMITS.most_messages


def test_the_latest_are_those_that_the_groups_here_have_got(come):
    speaker, other = come(), come()
    speaker.enter()
    for text in ("one", "two", "three"):
        speaker.say(text)
    hear(speaker, 3)
    other.keeper.hear()

    found = [
        [one.number for one in station.keeper.latest(CHAT, 2, LIMITS)]
        for station in (speaker, other)
    ]

    assert found == [[2, 3]] * 2


def test_without_an_answer_what_was_missed_is_unknown_and_the_latest_are_none(come, monkeypatch):
    other = come()
    other.keeper.hear()
    monkeypatch.setattr(keeper_module, "_PATIENCE_S", 0.01)
    for name in ("read_missed", "read_latest"):
        monkeypatch.setattr(other.line, name, lambda *what: None)

    assert (other.missed(0), other.keeper.latest(CHAT, 2, LIMITS)) == (None, [])
    assert other.keeper.counts.failures > 0


# -- another epoch


class Answers:
    """A relay that only notes; the test says what the line would."""

    def __init__(self):
        self.said = []

    def call_line(self, method, *args):
        if method == "keep":
            self.said += args
        return True


@pytest.fixture
def alone():
    """A keeper whose line is the test, somebody who hears it, and what was said."""
    ears, line = Station.__new__(Station), Answers()
    ears.heard, ears.excludes, ears.members = [], [], {CHAT}
    keeper = DistantKeeper(gevent.get_hub(), None, ears, line)
    keeper.hear_point("old", 850, False, True)
    return keeper, ears, line


def answer(keeper, saying, epoch, number):
    saying.epoch, saying.number, saying.is_coming = epoch, number, True
    keeper.hear_answer(saying)


def test_the_answer_of_a_redis_that_took_over_waits_for_what_comes_before_it(alone):
    keeper, ears, line = alone
    keeper.keep(draft("mine"))
    keeper.keep(draft("mine too"))

    answer(keeper, line.said[0], "new", 757)
    answer(keeper, line.said[1], "new", 758)
    assert ears.heard == []
    keeper.hear_point("new", 749, True, True)
    keeper.hear_kept(row(756, "theirs"), None, True)
    keeper.hear_kept(row(757, "mine"), line.said[:1], line.said[0].claim())
    keeper.hear_point("new", 760, False, True)

    assert ears.heard == [("gap", 749), (756, "theirs"), (757, "mine"), (758, "mine too")]


def test_what_only_the_redis_before_has_kept_is_heard_ahead_of_the_gap(alone):
    keeper, ears, line = alone
    keeper.keep(draft("mine"))
    answer(keeper, line.said[0], "old", 851)

    keeper.hear_point("new", 749, True, True)

    assert ears.heard == [(851, "mine"), ("gap", 749)]


def test_an_answer_of_the_redis_before_that_comes_late_is_heard_at_once(alone):
    keeper, ears, line = alone
    keeper.keep(draft("mine"))
    keeper.hear_point("new", 749, True, True)

    answer(keeper, line.said[0], "old", 851)

    assert ears.texts == ["mine"]


def test_a_gap_is_told_at_once_also_while_nothing_can_be_kept(alone):
    keeper, ears, _ = alone
    keeper.hear_trouble("gone")

    keeper.hear_point("new", 749, True, False)
    keeper.hear_kept(row(750, "theirs"), None, True)
    keeper.hear_point("new", 750, False, True)

    assert ears.heard == ["void", ("gap", 0), (750, "theirs"), ("position", 750)]
