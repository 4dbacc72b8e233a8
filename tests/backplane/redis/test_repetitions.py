"""What is known of others' messages, so that a repetition is not handed on."""

from __future__ import annotations

from tina4_wsgi.backplane.redis import repetitions as repetitions_module
from tina4_wsgi.backplane.redis.repetitions import Repetitions

ANNA, BERT = b"a" * 16, b"b" * 16


def news(*said):
    """Give those of some messages that are new."""
    repetitions = Repetitions()
    return [one for one in said if repetitions.is_news(*one)]


def test_what_comes_again_is_known_by_sender_channel_and_number():
    new = [(ANNA, "/x", 5), (ANNA, "/x", 6), (BERT, "/x", 5), (ANNA, "/y", 5), (ANNA, "/x", 8)]
    old = [(ANNA, "/x", 8), (ANNA, "/x", 6), (ANNA, "/x", 1)]

    assert news(*new, *old) == new


def test_messages_without_a_number_are_all_new():
    said = [(ANNA, "/x", 0)] * 3

    assert news(*said) == said


def test_a_number_from_far_below_begins_anew():
    huge = 1 << 20
    far_below = [huge - 65_535, huge - 65_536, huge - 65_536, huge - 65_535]
    said = [(ANNA, "/x", number) for number in (huge, *far_below)]

    assert news(*said) == [said[0], said[2], said[4]]


def test_only_the_latest_senders_are_remembered(monkeypatch):
    monkeypatch.setattr(repetitions_module, "_MOST_REMEMBERED", 2)
    first, second, third = ((ANNA, path, 1) for path in ("/1", "/2", "/3"))

    assert news(first, second, first, third, first, second) == [first, second, third, second]
