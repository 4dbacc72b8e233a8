"""Looking back into a journal, and listening in, whatever it is kept in."""

from __future__ import annotations

import sys
import time

import pytest

from tests.journal.conftest import CHAT, LIMITS, ROOM, draft, drafts
from tina4_wsgi.errors import UsageError
from tina4_wsgi.journal.contract import MOST_ROWS
from tina4_wsgi.journal.past import Heard, Listener, past


def say(journal, *texts: str, topic=CHAT) -> None:
    journal.append(drafts(*texts, topic=topic), time.time())


def texts(messages) -> list[str]:
    return [one.message for one in messages]


def test_the_latest_messages_have_their_positions_and_times(journal):
    before_s = time.time()
    say(journal, "a", "b", "c")
    epoch = journal.point().epoch

    found = past(journal, CHAT, LIMITS, None, 2)

    assert [(one.position, one.message) for one in found] == [
        (f"{epoch}.0-2", "b"),
        (f"{epoch}.0-3", "c"),
    ]
    assert all(before_s <= one.said_at_s <= time.time() for one in found)


def test_behind_a_position_the_first_ones_are_found(journal):
    say(journal, "a", "b")
    say(journal, "elsewhere", topic=ROOM)
    say(journal, "c", "d")
    epoch = journal.point().epoch

    assert texts(past(journal, CHAT, LIMITS, f"{epoch}.0-1", 2)) == ["b", "c"]
    assert texts(past(journal, CHAT, LIMITS, f"{epoch}.0-5", 2)) == []


def test_more_than_one_page_is_found(journal):
    limits = LIMITS._replace(most_messages=5 * MOST_ROWS)
    count = 3 * MOST_ROWS
    for number in range(count):
        journal.append([draft(str(number), limits=limits)], time.time())

    found = past(journal, CHAT, limits, f"{journal.point().epoch}.0-1", sys.maxsize)

    assert texts(found) == [*map(str, range(1, count))]


@pytest.mark.parametrize("after", ["Another.0-1", "-", "nonsense"])
def test_what_is_behind_no_position_is_an_error(journal, after):
    say(journal, "a")

    with pytest.raises(UsageError, match=r"behind '.*' is not there any more"):
        past(journal, CHAT, LIMITS, after, 10)


def test_a_listener_hears_its_topic_from_now_on(journal):
    say(journal, "before")
    listener = Listener(journal, CHAT, LIMITS)
    say(journal, "a", "b")
    say(journal, "elsewhere", topic=ROOM)

    heard = listener.hear()

    assert texts(heard.messages) == ["a", "b"]
    assert (heard.has_gap, heard.has_more) == (False, False)
    assert listener.hear() == Heard([], False, False)


def test_a_listener_reads_a_page_at_a_time(journal):
    listener = Listener(journal, CHAT, LIMITS)
    for number in range(MOST_ROWS + 1):
        say(journal, str(number))

    first, second = listener.hear(), listener.hear()

    assert texts(first.messages + second.messages) == [*map(str, range(MOST_ROWS + 1))]
    assert (first.has_more, second.has_more) == (True, False)


def test_a_listener_is_told_of_what_it_could_not_hear(journal):
    listener = Listener(journal, CHAT, LIMITS)
    say(journal, "a")
    journal.forget(CHAT)
    say(journal, "b")

    heard = listener.hear()

    assert (texts(heard.messages), heard.has_gap) == (["b"], True)
    assert not listener.hear().has_gap
