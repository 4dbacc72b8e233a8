"""The scripts, run by a real Redis: what they keep, publish and answer, and when an epoch ends."""

from __future__ import annotations

import itertools

import pytest
import redis as redis_py

from tests.support import redis
from tests.support.kept_stations import CHAT, LIMITS, NEWS
from tina4_wsgi.backplane.envelope import Kind, unpack
from tina4_wsgi.backplane.redis.channels import Channels
from tina4_wsgi.backplane.redis.kept import Known, Scribe, heard_in, latest_in, missed_in
from tina4_wsgi.backplane.redis.scripts import ALL, MEMORY_MS
from tina4_wsgi.journal.contract import Draft, KeptLimits
from tina4_wsgi.protocol.framing import text_frame
from tina4_wsgi.protocol.marks import message_of

ANNA, BERT = b"a" * 16, b"b" * 16
RUN = "run1"
NOW_MS = 1_000_000_000_000
_prefixes = itertools.count()


class Journal:
    """The journal of one app, as its scripts have it; time stands still unless told otherwise."""

    def __init__(self, client):
        self.client = client
        self.channels = Channels(f"app{next(_prefixes)}")
        self.scribe = Scribe(self.channels, is_sharded=False)
        for script in ALL:
            client.script_load(script.source)
        self.listener = client.pubsub(ignore_subscribe_messages=True)
        names = [self.channels.everybody, *(self.scribe.channel(one) for one in (CHAT, NEWS))]
        self.listener.subscribe(*names)
        for _ in names:
            self.listener.get_message(timeout=5)

    def keep(self, *drafts, ticket=0, run=RUN, known=Known(), sender=b"", now_ms=NOW_MS):  # noqa: B008
        """Keep texts of the chat, or drafts; give epoch, number before, and numbers."""
        laid_out = [one if isinstance(one, Draft) else draft(one) for one in drafts]
        reply = self.ask(self.scribe.keep(laid_out, ticket, run, known, sender, now_ms))
        return reply[0], reply[1], reply[2]

    def look(self, run=RUN, known=Known(), doomed=""):  # noqa: B008
        epoch, number = self.ask(self.scribe.look(run, known, doomed=doomed))
        return epoch.decode(), number

    def missed(self, number, epoch=None, end=1_000, limits=LIMITS, now_ms=NOW_MS):
        """Give the texts behind a number, or what has become of them."""
        epoch = self.epoch if epoch is None else epoch
        reply = self.ask(self.scribe.missed(CHAT, epoch, number, end, limits, now_ms))
        found = missed_in(reply)
        return reply[0].decode() if found is None else texts(found)

    def latest(self, most, end=1_000, now_ms=NOW_MS):
        return texts(latest_in(self.ask(self.scribe.latest(CHAT, most, end, LIMITS, now_ms))))

    @property
    def epoch(self):
        return self.client.hget(self.channels.journal, "epoch").decode()

    def key(self, name, topic=CHAT):
        return getattr(self.channels, name)(self.scribe.channel(topic))

    def ask(self, command):
        return self.client.execute_command(*command)

    def told(self):
        """Give what was published: the kind, and the texts or the facts."""
        self.client.publish(self.channels.everybody, b"end")
        found = []
        while (message := self.listener.get_message(timeout=5))["data"] != b"end":
            envelope = unpack(message["data"])
            if envelope.kind is Kind.POINT:
                found.append(("point", envelope.json()["number"]))
            else:
                found.append(
                    ("kept", *[(one.kept.number, text(one)) for one in heard_in(envelope)])
                )
        return found


def draft(text, topic=CHAT, once="", limits=LIMITS, author=""):
    return Draft(topic, text_frame(text), limits, author, once)


def text(one):
    return message_of(one.kept.frame)


def texts(found):
    return [text(one) for one in found]


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with redis.running(tmp_path_factory.mktemp("redis")) as broker:
        yield broker


@pytest.fixture
def journal(broker):
    with redis_py.Redis(port=broker.port, protocol=2) as client:
        journal = Journal(client)
        yield journal
        journal.listener.close()


# -- keeping


def test_numbers_grow_by_one_and_where_all_is_kept_the_reply_is_short(journal):
    first, second = journal.keep("one", "two"), journal.keep("three")

    assert (first[1:], second[1:]) == ((0, 0), (2, 0))
    assert journal.missed(0) == ["one", "two", "three"]


def test_what_stands_side_by_side_is_published_together(journal):
    journal.keep("one", "two", draft("news", NEWS), "three")

    assert journal.told() == [
        ("point", 0),
        ("kept", (1, "one"), (2, "two")),
        ("kept", (3, "news")),
        ("kept", (4, "three")),
    ]


def test_what_comes_again_of_one_sender_is_known_by_its_ticket(journal):
    journal.keep("one", "two", ticket=1, sender=ANNA)

    again = journal.keep("one", "two", "three", ticket=1, sender=ANNA)
    other = journal.keep("one", ticket=1, sender=BERT)

    assert (again[2], other[2]) == ([-1, -1, 3], 0)
    assert journal.missed(0) == ["one", "two", "three", "one"]


def test_what_was_refused_is_refused_when_it_comes_again(journal):
    journal.client.set(journal.key("stream"), "no stream")
    refused = journal.keep("one", draft("news", NEWS), ticket=1, sender=ANNA)
    journal.client.delete(journal.key("stream"))

    again = journal.keep("one", draft("news", NEWS), ticket=1, sender=ANNA)

    assert (refused[2][0].partition(b" ")[0], refused[2][1]) == (b"WRONGTYPE", 1)
    assert again[2] == [b"refused before", -1]


def test_what_can_not_be_kept_takes_no_number_and_no_key_of_once(journal):
    journal.client.set(journal.key("stream"), "no stream")
    journal.keep(draft("one", once="key"))
    journal.client.delete(journal.key("stream"))

    assert journal.keep(draft("one", once="key"))[1:] == (0, 0)


def test_a_key_of_once_divides_what_stands_side_by_side(journal):
    journal.keep(draft("paid", once="key"))
    journal.told()

    assert journal.keep("one", draft("paid", once="key"), "two")[2] == [2, 0, 3]
    assert journal.told() == [("kept", (2, "one")), ("kept", (3, "two"))]


def test_no_more_is_kept_than_the_topic_may_have(journal):
    few = KeptLimits(2, 300.0)
    journal.keep(*(draft(str(number), limits=few) for number in range(5)))

    assert journal.latest(9) == ["3", "4"]
    assert [journal.missed(number) for number in (2, 3)] == ["gap", ["3", "4"]]


def test_old_messages_are_swept_while_new_ones_come(journal):
    journal.keep(*map(str, range(15)))
    later_ms = NOW_MS + 300_001

    journal.keep("new", "newer", now_ms=later_ms)

    assert journal.client.xlen(journal.key("stream")) == 2


def test_keys_outlive_their_messages_by_as_long_as_promised(journal):
    journal.keep("one")

    assert 299_000 < journal.client.pttl(journal.key("stream")) <= 300_000
    assert MEMORY_MS < journal.client.pttl(journal.key("last")) <= MEMORY_MS + 300_000


def test_a_stream_whose_numbers_are_ahead_of_the_journal_begins_anew(journal):
    journal.client.xadd(journal.key("stream"), {"f": "x"}, id="900-0")

    journal.keep("one")

    assert journal.latest(9) == ["one"]


# -- what was missed


def test_a_page_ends_where_it_is_to(journal):
    journal.keep("one", "two", "three")

    assert journal.missed(0, end=2) == ["one", "two"]
    assert journal.missed(3) == []


def test_another_epoch_has_nothing_to_say(journal):
    journal.keep("one")

    assert journal.missed(0, epoch="other") == "epoch"


def test_what_is_too_old_is_a_gap_and_none_of_the_latest(journal):
    journal.keep("one")
    journal.keep("two", now_ms=NOW_MS + 1)
    later_ms = NOW_MS + 300_001

    assert [journal.missed(number, now_ms=later_ms) for number in (0, 1)] == ["gap", ["two"]]
    assert journal.latest(9, now_ms=later_ms) == ["two"]


def test_what_was_forgotten_is_a_gap(journal):
    journal.keep("one")
    for command in journal.scribe.forget(CHAT):
        journal.ask(command)

    assert [journal.missed(number) for number in (0, 1)] == ["gap", []]


def test_of_a_topic_that_is_long_silent_the_ages_tell_what_may_be_missing(journal):
    journal.keep("one")
    journal.keep(draft("news", NEWS), now_ms=NOW_MS + MEMORY_MS + 400_000)
    journal.client.delete(journal.key("stream"), journal.key("last"))
    later_ms = NOW_MS + MEMORY_MS + 400_000

    assert journal.missed(1, now_ms=later_ms) == []
    assert journal.missed(0, now_ms=later_ms) == "gap"


def test_a_page_is_short_where_messages_are_long(journal):
    journal.keep(*("x" * 100_000 for _ in range(5)))

    assert len(journal.missed(0)) == 3


# -- epochs


def test_the_first_that_asks_begins_an_epoch_and_tells_everybody(journal):
    epoch, number = journal.look()

    assert (journal.look(), number) == ((epoch, 0), 0)
    assert journal.told() == [("point", 0)]


def test_another_redis_begins_an_epoch_and_goes_on_with_the_numbers(journal):
    before, *_ = journal.keep("one")
    journal.told()

    epoch, *numbers = journal.keep("two", run="run2")

    assert epoch != before
    assert numbers == [1, 0]
    assert journal.told() == [("point", 1), ("kept", (2, "two"))]


def test_the_first_message_of_an_epoch_has_none_before_it(journal):
    journal.keep("one")
    journal.look(run="run2")

    journal.keep("two", "three", run="run2")

    assert [entry[1][b"p"] for entry in journal.client.xrange(journal.key("stream"))] == [
        *(b"0", b"0", b"2")
    ]


def test_who_knows_more_than_there_is_begins_an_epoch_behind_that(journal):
    before, *_ = journal.keep("one")

    epoch, number = journal.look(known=Known(before.decode(), 7))

    assert (epoch != before.decode(), number) == (True, 7)


def test_who_knows_more_of_another_epoch_changes_nothing(journal):
    epoch, *_ = journal.keep("one")

    assert journal.look(known=Known("other", 7)) == (epoch.decode(), 1)


def test_where_all_is_gone_numbers_go_on_far_behind_what_was_known(journal):
    assert journal.look(known=Known("lost", 7))[1] == 1_007


def test_an_epoch_that_is_doomed_ends_once(journal):
    doomed, _ = journal.look()

    first, second = journal.look(doomed=doomed), journal.look(doomed=doomed)

    assert first == second
    assert first[0] != doomed


def test_who_asks_is_told_over_the_channel_as_well(journal):
    journal.look()
    journal.told()

    journal.ask(journal.scribe.look(RUN, Known(), journal.channels.everybody, 7))

    assert journal.told() == [("point", 0)]
