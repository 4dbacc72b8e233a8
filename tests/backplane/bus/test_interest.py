"""What a process wants to hear of, without sockets: who is asked to skip what, and to resume it."""

from __future__ import annotations

import gevent
import pytest

from tina4_wsgi.backplane.bus import interest as interest_module
from tina4_wsgi.backplane.bus.interest import IN_VAIN, Interest
from tina4_wsgi.backplane.envelope import Kind

TOPIC, ROOM = (Kind.PATH, "/x"), (Kind.ROOM, "/x")
ADA, BOB = b"a" * 16, b"b" * 16


@pytest.fixture
def interest() -> Interest:
    return Interest()


def tire(interest: Interest, sender: bytes = ADA, topic: tuple[Kind, str] = TOPIC) -> None:
    """Hear of a topic in vain until its sender is to be asked to skip it."""
    heard = [interest.is_tired_of(topic, sender) for _ in range(IN_VAIN)]
    assert heard == [False] * (IN_VAIN - 1) + [True]


def test_a_topic_is_skipped_when_it_was_heard_in_vain_for_the_eighth_time(interest: Interest):
    tire(interest)
    tire(interest, BOB)
    tire(interest, ADA, ROOM)

    assert not interest.is_tired_of(TOPIC, ADA)


def test_who_goes_on_to_tell_it_is_asked_again(interest: Interest):
    tire(interest)

    tire(interest)


def test_a_topic_is_wanted_as_long_as_there_is_a_reason(interest: Interest):
    interest.enter(TOPIC)
    interest.enter(TOPIC)
    assert not interest.has(ROOM)

    interest.leave(TOPIC)
    assert interest.has(TOPIC)
    interest.leave(TOPIC)
    assert not interest.has(TOPIC)


def test_one_reason_less_than_none_is_none(interest: Interest):
    interest.leave(TOPIC)
    interest.enter(TOPIC)

    assert interest.has(TOPIC)


def test_who_skips_it_is_asked_to_resume_it_when_somebody_comes(interest: Interest):
    tire(interest)
    tire(interest, BOB)
    interest.is_tired_of(ROOM, ADA)

    asked = interest.enter(TOPIC)

    assert asked is not None
    assert (asked.topic, asked.senders) == (TOPIC, {ADA, BOB})
    assert interest.enter(TOPIC) is None
    assert interest.enter(ROOM) is None


def test_it_is_waited_for_until_all_have_resumed_it(interest: Interest):
    tire(interest)
    tire(interest, BOB)
    asked = interest.enter(TOPIC)
    assert asked is not None
    waiting = gevent.spawn(interest.wait, TOPIC, 20)
    gevent.sleep(0)

    interest.resumed(TOPIC, ADA, asked.number)
    gevent.sleep(0)
    assert not waiting.ready()
    interest.resumed(TOPIC, BOB, asked.number)

    assert waiting.get(timeout=10) is True
    assert interest.wait(TOPIC, 20) is False


def test_a_second_client_waits_as_long_as_the_first(interest: Interest):
    tire(interest)
    interest.enter(TOPIC)
    interest.enter(TOPIC)

    assert interest.wait(TOPIC, 0) is True


def test_an_answer_to_an_earlier_request_counts_no_more(interest: Interest):
    tire(interest)
    earlier = interest.enter(TOPIC)
    interest.leave(TOPIC)
    tire(interest)
    later = interest.enter(TOPIC)
    assert earlier is not None
    assert later is not None
    waiting = gevent.spawn(interest.wait, TOPIC, 20)
    gevent.sleep(0)

    interest.resumed(TOPIC, ADA, earlier.number)
    gevent.sleep(0)
    assert not waiting.ready()
    interest.resumed(TOPIC, ADA, later.number)

    assert waiting.get(timeout=10) is True


def test_a_request_that_is_repeated_asks_those_who_have_not_answered_too(interest: Interest):
    tire(interest)
    interest.enter(TOPIC)
    interest.leave(TOPIC)
    tire(interest, BOB)

    later = interest.enter(TOPIC)

    assert later is not None
    assert later.senders == {ADA, BOB}


def test_who_waits_goes_on_to_wait_when_the_request_is_repeated(interest: Interest):
    tire(interest)
    interest.enter(TOPIC)
    waiting = gevent.spawn(interest.wait, TOPIC, 20)
    gevent.sleep(0)
    interest.leave(TOPIC)
    tire(interest)
    later = interest.enter(TOPIC)
    assert later is not None
    gevent.sleep(0)
    assert not waiting.ready()

    interest.resumed(TOPIC, ADA, later.number)

    assert waiting.get(timeout=10) is True


def test_an_answer_that_nobody_waits_for_is_none(interest: Interest):
    interest.resumed(TOPIC, ADA, 1)

    assert interest.wait(TOPIC, 0) is False


def test_who_is_gone_is_not_asked_and_not_waited_for(interest: Interest):
    tire(interest)
    tire(interest, ADA, ROOM)
    tire(interest, BOB, ROOM)
    interest.enter(TOPIC)

    interest.forget(ADA)

    assert interest.wait(TOPIC, 0) is False
    asked = interest.enter(ROOM)
    assert asked is not None
    assert asked.senders == {BOB}


def test_who_wants_all_asks_for_all_and_is_never_tired_again(interest: Interest):
    tire(interest)
    tire(interest, BOB, ROOM)

    asked = interest.hear_all()

    assert [(one.topic, one.senders) for one in asked] == [(TOPIC, {ADA}), (ROOM, {BOB})]
    assert not any(interest.is_tired_of(TOPIC, ADA) for _ in range(3 * IN_VAIN))
    assert interest.hear_all() == []


def test_names_take_no_more_memory_than_allowed(interest: Interest, monkeypatch):
    monkeypatch.setattr(interest_module, "MOST_TOPICS", 3)
    for number in range(3):
        tire(interest, ADA, (Kind.PATH, f"/{number}"))

    heard = [interest.is_tired_of((Kind.PATH, "/3"), ADA) for _ in range(3 * IN_VAIN)]
    for number in range(100):
        interest.is_tired_of((Kind.PATH, f"/a/{number}"), ADA)

    assert not any(heard)
    assert len(interest._in_vain) <= 3
    assert any(interest.is_tired_of((Kind.PATH, "/0"), BOB) for _ in range(2 * IN_VAIN))
