"""What a hub remembers of what it heard last."""

from __future__ import annotations

from tina4_wsgi.engine import recent as recent_module
from tina4_wsgi.engine.recent import Recent
from tina4_wsgi.journal.contract import Kept, Row

CHAT, ROOM = (2, "/chat"), (3, "room")


def row(*numbers, topic=CHAT):
    return Row(topic, [Kept(number, b"\x81\x02hi", "", 0.0) for number in numbers])


def numbers(messages):
    return [message.number for message in messages]


def test_it_gives_the_messages_of_one_topic_behind_a_number():
    recent = Recent()
    recent.add(row(1, 2))
    recent.add(row(3, topic=ROOM))
    recent.add(row(4))

    assert numbers(recent.behind(CHAT, 1, 9)) == [2, 4]
    assert numbers(recent.behind(ROOM, 0, 9)) == [3]
    assert recent.behind((2, "/other"), 0, 9) == []


def test_it_gives_the_first_ones_where_only_some_are_wanted():
    recent = Recent()
    recent.add(row(1, 2, 3, 4))

    assert numbers(recent.behind(CHAT, 1, 2)) == [2, 3]


def test_it_forgets_the_oldest_and_says_up_to_where(monkeypatch):
    monkeypatch.setattr(recent_module, "_MOST_BYTES", 3 * 204)
    recent = Recent()

    recent.add(row(1))
    recent.add(row(2, topic=ROOM))
    recent.add(row(3, 4, 5))

    assert recent.floor == 2
    assert numbers(recent.behind(CHAT, 2, 9)) == [3, 4, 5]
    assert recent.behind(ROOM, 0, 9) == []


def test_who_clears_it_says_behind_which_number_it_begins():
    recent = Recent()
    recent.add(row(1))

    recent.clear(7)

    assert recent.floor == 7
    assert recent.behind(CHAT, 0, 9) == []
