"""What a process says, on its way into the journal and back."""

from __future__ import annotations

import pytest

from tests.support.kept_stations import CHAT, NEWS, draft
from tina4_wsgi.backplane.contract import Saying
from tina4_wsgi.backplane.redis import sayings as sayings_module
from tina4_wsgi.backplane.redis.kept import Known
from tina4_wsgi.backplane.redis.sayings import Sayings

EPOCH = b"epoch123"


def said(*texts, topic=CHAT):
    """Give sayings, and what holds them on their way."""
    sayings = Sayings()
    made = [Saying(draft(text, topic), None) for text in texts]
    for one in made:
        sayings.add(one)
    return sayings, made


def answers(sayings, bundle, numbers, most=4, error=""):
    reply = (EPOCH, most, numbers, 0)
    return [*sayings.answered(bundle, reply, error, lambda topic: topic == CHAT)]


def test_only_the_first_of_a_bundle_is_the_first_and_tickets_go_on():
    sayings = Sayings()
    are_first = [sayings.add(Saying(draft(text), None)) for text in ("one", "two")]
    bundle = sayings.take_unsent()
    are_first.append(sayings.add(Saying(draft("three"), None)))

    assert are_first == [True, False, True]
    assert (bundle.ticket, len(bundle.drafts)) == (1, 2)
    assert sayings.take_unsent().ticket == 3
    assert sayings.take_unsent().sayings == []


@pytest.mark.parametrize(("name", "least"), [("_MOST_TOGETHER", 2), ("_MOST_BYTES", 300)])
def test_many_or_long_messages_are_due_at_once(monkeypatch, name, least):
    monkeypatch.setattr(sayings_module, name, least)
    sayings, _ = said("one")

    assert not sayings.is_due
    sayings.add(Saying(draft("two"), None))
    assert sayings.is_due


def test_where_all_was_kept_numbers_are_in_a_row_and_they_are_still_to_come():
    sayings, (one, two) = said("one", "two")

    found = answers(sayings, sayings.take_unsent(), 0)

    assert [answer.saying.number for answer in found] == [5, 6]
    assert (one.epoch, one.is_coming, two.is_coming) == ("epoch123", True, True)
    assert [sayings.take_back(ticket) for ticket in (1, 2, 1)] == [one, two, None]


def test_what_nobody_here_listens_to_or_was_said_before_does_not_come():
    for topic, number in ((NEWS, 5), (CHAT, 0)):
        sayings, (one,) = said("one", topic=topic)
        answers(sayings, sayings.take_unsent(), [number])

        assert (one.number, one.is_coming, bool(sayings)) == (number, False, False)


def test_what_was_kept_at_the_first_attempt_has_a_number_up_to_the_last_one():
    sayings, (one, two) = said("one", "two")

    found = answers(sayings, sayings.take_unsent(), [-1, 5])

    assert [answer.is_exact for answer in found] == [False, True]
    assert (one.number, two.number, one.is_coming) == (4, 5, True)


def test_what_was_refused_alone_or_with_all_does_not_come():
    sayings, (one, two) = said("one", "two")
    assert [found.error for found in answers(sayings, sayings.take_unsent(), [5, b"full"])] == [
        *("", "full")
    ]
    assert (sayings.oldest(), two.number) == (one, 0)

    sayings, _ = said("one", "two")
    found = answers(sayings, sayings.take_unsent(), None, error="gone")
    assert ([one.error for one in found], bool(sayings)) == (["gone", "gone"], False)


def test_up_to_a_point_nothing_of_this_epoch_or_another_comes_any_more():
    sayings, (early, late, other, unanswered) = said("early", "late", "other", "unanswered")
    for one, epoch, number in ((early, "now", 5), (late, "now", 7), (other, "before", 900)):
        one.epoch, one.number = epoch, number

    sayings.settle(Known("now", 6))

    assert [sayings.take_back(ticket) for ticket in (1, 2, 3, 4)] == [
        *(None, late, None, unanswered)
    ]


def test_the_oldest_is_the_first_that_somebody_waits_for():
    sayings, (one, two) = said("one", "two")
    one.is_done = True

    assert sayings.oldest() is two
