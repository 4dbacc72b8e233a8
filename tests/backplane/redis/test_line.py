"""One process's line to the journal: what it says, what it hears, and what it catches up with."""

from __future__ import annotations

import itertools

import pytest
import redis as redis_py
from gevent.event import Event

from tests.support import redis
from tests.support.kept_stations import CHAT, LIMITS, NEWS, WAIT_S, draft, stations, wait_until
from tina4_wsgi.backplane.envelope import Kind
from tina4_wsgi.backplane.redis import line as line_module
from tina4_wsgi.backplane.redis import subscriber as subscriber_module
from tina4_wsgi.backplane.redis.channels import Channels
from tina4_wsgi.backplane.redis.kept import Known, Scribe
from tina4_wsgi.backplane.redis.scripts import ALL
from tina4_wsgi.config import Config

ANNA = b"a" * 16
MOST_BYTES = 65_536
HALF = MOST_BYTES // 2
_prefixes = itertools.count()


@pytest.fixture
def broker(tmp_path):
    with redis.running(tmp_path) as broker:
        yield broker


@pytest.fixture
def talk(broker):
    with broker.talking() as talk:
        yield talk


@pytest.fixture
def config(broker):
    return Config(
        backplane="redis",
        backplane_url=broker.url,
        backplane_prefix=f"line{next(_prefixes)}",
        max_backplane_bytes=MOST_BYTES,
    )


@pytest.fixture
def come(config):
    """Opens a process of one app, for one more with each call."""
    with stations(config) as come:
        yield come


class Stranger:
    """Somebody who keeps messages with tickets of its own."""

    def __init__(self, broker, config):
        self.client = redis_py.Redis(port=broker.port, protocol=2)
        self.channels = Channels(config.backplane_prefix)
        self.scribe = Scribe(self.channels, is_sharded=False)
        for script in ALL:
            self.client.script_load(script.source)
        self.run = self.client.info("server")["run_id"]

    def say(self, *said, ticket=0):
        drafts = [draft(text) for text in said]
        self.client.execute_command(
            *self.scribe.keep(drafts, ticket, self.run, Known(), ANNA if ticket else b"")
        )


@pytest.fixture
def stranger(broker, config):
    stranger = Stranger(broker, config)
    yield stranger
    stranger.client.close()


def cut_hearing(talk):
    """Cut all subscriptions."""
    talk.client_kill_filter(_type="pubsub")


def hear(station, *texts):
    """Wait until these texts, and no others, have been heard."""
    wait_until(lambda: len(station.texts) >= len(texts), f"{len(texts)} messages")
    assert station.texts == [*texts]


def is_well(station):
    return not station.keeper.error


# -- what is said


def test_what_is_said_in_one_turn_is_kept_together_and_in_order(come):
    speaker = come()
    speaker.enter()

    for number in range(200):
        speaker.say(str(number), CHAT if number % 3 else NEWS)
    wait_until(lambda: speaker.keeper.counts.kept == 200, "all that was said")

    assert speaker.texts == [str(number) for number in range(200) if number % 3]


def test_too_much_on_its_way_is_heard_here_alone_and_ends_the_epoch(come, broker):
    speaker = come()
    speaker.enter()
    epoch = speaker.keeper.epoch
    broker.freeze()
    speaker.say("one")
    speaker.line.flush()
    speaker.say("x" * MOST_BYTES)

    assert speaker.heard == ["void", "one", "x" * MOST_BYTES]
    broker.thaw()
    wait_until(lambda: is_well(speaker), "a new epoch")
    assert speaker.keeper.epoch not in (epoch, "")
    assert speaker.backplane.status().dropped_messages == 1


def test_what_redis_refuses_is_told_to_others_as_lost(come, talk):
    speaker, other = come(), come()
    for one in (speaker, other):
        one.enter()
    epoch = speaker.keeper.epoch
    talk.set(speaker.backplane._channels.stream(speaker.line._scribe.channel(CHAT)), "no stream")

    speaker.say("refused")
    hear(speaker, "refused")
    hear(other, "refused")

    wait_until(lambda: is_well(speaker) and is_well(other), "a new epoch")
    assert {speaker.keeper.epoch, other.keeper.epoch} & {epoch, ""} == set()


def test_without_an_answer_in_time_it_is_heard_here_and_by_others_once_redis_answers(
    come, broker, monkeypatch
):
    monkeypatch.setattr(line_module, "_PATIENCE_S", 0.1)
    speaker, other = come(), come()
    for one in (speaker, other):
        one.enter()
    broker.freeze()

    speaker.say("one")
    hear(speaker, "one")
    broker.thaw()
    hear(other, "one")

    wait_until(lambda: is_well(speaker), "an answer")
    assert speaker.texts == ["one"]
    assert speaker.marks[0] == "void"
    assert speaker.marks[-1][0] == "position"


def test_who_stops_lets_nobody_wait(come):
    speaker = come()
    speaker.enter()
    speaker.say("one")

    speaker.line.close()

    assert speaker.texts == ["one"]


# -- what is heard


def test_it_is_known_from_when_on_everything_is_heard(come):
    speaker, other = come(), come()
    speaker.enter()
    speaker.say("one")
    hear(speaker, "one")

    before = other.heard_since(CHAT)
    other.enter()

    assert (before, other.heard_since(CHAT)) == (None, 1)
    other.leave()
    assert other.heard_since(CHAT) is None


def test_a_look_is_over_once_all_that_was_kept_before_it_is_heard(come, stranger):
    listener = come()
    listener.enter()

    for number in range(20):
        stranger.say(str(number))
        listener.look()
        assert len(listener.texts) == number + 1


def test_what_is_forgotten_is_forgotten_here(come, stranger):
    listener = come()
    listener.enter()
    stranger.say("one")
    hear(listener, "one")

    for command in stranger.scribe.forget(CHAT):
        stranger.client.execute_command(*command)
    wait_until(lambda: "hear_forgotten" in listener.tellings, "the notice")

    assert listener.missed(0) is None


def test_garbage_is_dropped_and_what_follows_is_heard(come, stranger, caplog):
    listener = come()
    listener.enter()
    channel = stranger.scribe.channel(CHAT)

    stranger.client.publish(channel, b"garbage")
    stranger.say("one")
    hear(listener, "one")

    assert "garbage" in caplog.text


def test_what_isnt_kept_here_is_read_as_nothing(come):
    other, found = come((NEWS,)), []
    other.look()

    other.line.read_missed(CHAT, 0, 9, found.append)
    other.line.read_latest(CHAT, 2, 9, found.append)

    assert found == [[], []]


# -- what is caught up with


def test_what_was_kept_while_the_subscription_was_cut_is_heard_behind_it(come, talk, stranger):
    listener = come()
    listener.enter()
    for number in range(3):
        cut_hearing(talk)
        stranger.say(f"{number}a", f"{number}b")
    stranger.say("last")

    hear(listener, "0a", "0b", "1a", "1b", "2a", "2b", "last")
    assert listener.marks == []


def test_a_gap_in_what_is_caught_up_with_is_told_ahead_of_what_is_left(come, talk, stranger):
    listener = come()
    listener.enter()
    stranger.say("before")
    hear(listener, "before")

    cut_hearing(talk)
    stranger.say(*map(str, range(LIMITS.most_messages + 1)))
    stranger.say("after")
    wait_until(lambda: listener.marks, "the gap")
    listener.look()
    stranger.say("later")
    wait_until(lambda: "later" in listener.texts, "what comes behind it")

    assert listener.heard[:2] == [(1, "before"), ("gap", 1)]
    assert [one for one in listener.marks if one[0] == "gap"] == [("gap", 1)]


def test_a_gap_of_one_topic_is_none_for_those_who_are_in_another(come, talk, stranger):
    one, other = come(), come()
    one.enter()
    other.enter(NEWS)
    other.backplane.enter(Kind.PATH, CHAT[1])
    other.backplane.wait_until_heard(Kind.PATH, CHAT[1], WAIT_S)
    other.look()

    cut_hearing(talk)
    stranger.say(*map(str, range(LIMITS.most_messages + 1)))
    one.say("news", NEWS)
    wait_until(lambda: other.texts and one.marks, "news and a gap")

    assert (one.marks, other.heard) == ([("gap", 0)], [(LIMITS.most_messages + 2, "news")])
    assert other.missed(0) is None
    assert other.missed(0, NEWS) == ["news"]


def test_what_a_new_epoch_has_kept_comes_behind_the_gap(come, talk, stranger):
    listener = come()
    listener.enter()
    stranger.say("before")
    hear(listener, "before")
    before = listener.keeper.epoch

    cut_hearing(talk)
    talk.flushall()
    stranger.say("after")
    wait_until(lambda: "after" in listener.texts, "what is kept anew")

    assert [one[0] for one in listener.heard] == [1, "gap", 1]
    assert listener.keeper.epoch not in (before, "")


def test_what_is_kept_again_after_a_failover_is_heard_once(come, talk, stranger):
    listener = come()
    listener.enter()
    stranger.say("one", "two", ticket=1)
    hear(listener, "one", "two")

    talk.flushall()  # its ticket is gone, too
    stranger.say("two", "three", ticket=2)

    hear(listener, "one", "two", "three")
    assert listener.missed(0) == ["two", "three"]


def test_what_only_the_redis_before_has_kept_is_heard_and_no_trouble(
    come, talk, stranger, monkeypatch
):
    speaker = come()
    speaker.enter()
    speaker.say("one")
    speaker.say("two")
    hear(speaker, "one", "two")

    go, open_connection = Event(), subscriber_module.open_connection
    monkeypatch.setattr(
        subscriber_module,
        "open_connection",
        lambda *what: go.wait(WAIT_S) and open_connection(*what),
    )
    cut_hearing(talk)
    speaker.say("three")
    (saying,) = speaker.line._sayings._on_way.values()
    wait_until(lambda: saying.number, "an answer")
    talk.flushall()
    stranger.say("theirs")
    go.set()
    speaker.look()

    assert speaker.heard[2:5] == [(3, "three"), ("gap", 0), (1, "theirs")]
    assert (bool(speaker.line._sayings), speaker.keeper.counts.failures) == (False, 0)


def test_however_much_comes_before_it_is_read_again_is_no_gap(come, stranger):
    listener = come()
    listener.enter()
    stranger.say("before")
    hear(listener, "before")

    listener.line._break()
    for letter in "abc":
        stranger.say(letter * HALF)
    hear(listener, "before", "a" * HALF, "b" * HALF, "c" * HALF)

    assert listener.marks == []


def test_too_much_that_comes_while_it_is_read_is_a_gap_behind_what_was_read(come, stranger):
    listener = come()
    listener.enter()
    stranger.say("before")
    hear(listener, "before")
    line = listener.line
    read_all = line._streams.read_all

    def read_slowly(*what):
        del line._streams.read_all
        for letter in "bcd":
            stranger.say(letter * HALF)
        wait_until(lambda: line._holding.has_lost, "too much")
        return read_all(*what)

    line._streams.read_all = read_slowly
    line._break()
    stranger.say("a")
    wait_until(lambda: listener.marks, "the gap")
    stranger.say("later")
    wait_until(lambda: "later" in listener.texts, "what comes behind it")

    assert listener.heard[:3] == [(1, "before"), (2, "a"), ("gap", 2)]
    assert len(listener.marks) == 1


def test_a_channel_that_is_forbidden_is_told(come, talk, caplog):
    talk.execute_command("ACL", "SETUSER", "default", "resetchannels", "&*everybody", "&*inbox*")
    listener = come()
    listener.backplane.enter(Kind.PATH, CHAT[1])

    listener.keeper.hear()

    wait_until(lambda: "can't be kept" in caplog.text, "a word in the log")
    assert "PermissionError: redis forbids the channel line" in caplog.text
