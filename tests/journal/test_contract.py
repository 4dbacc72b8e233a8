"""What every journal promises, whatever it is kept in; see `tina4_wsgi.journal.contract`."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.journal.conftest import CHAT, LIMITS, NOW_S, ROOM, draft, drafts
from tina4_wsgi.journal.contract import (
    MOST_PAGE_BYTES,
    MOST_ROWS,
    NEWS_S,
    Declared,
    Draft,
    Kept,
    KeptLimits,
    runs,
)
from tina4_wsgi.protocol.framing import frame_of, text_frame
from tina4_wsgi.protocol.marks import message_of

LATER_S = NOW_S + NEWS_S + 1
OTHER = (2, "/ws/other")


def texts(messages: list[Kept] | None) -> list[str] | None:
    return None if messages is None else [str(message_of(one.frame)) for one in messages]


def missed(journal, number, *, topic=CHAT, limits=LIMITS, now_s=NOW_S, end=1 << 40):
    return texts(journal.missed(topic, number, end, limits, now_s))


def latest(journal, most=100, *, topic=CHAT, limits=LIMITS, now_s=NOW_S, end=1 << 40):
    return texts(journal.latest(topic, most, end, limits, now_s))


# -- numbers


def test_a_new_journal_is_before_its_first_message(journal):
    point = journal.point()

    assert point.number == 0
    assert len(point.epoch) >= 8
    assert journal.news(0) == (point, [], True, 0)


def test_numbers_grow_by_one_over_all_topics(journal):
    first = journal.append([draft("a"), draft("b", ROOM), draft("c")], NOW_S)
    second = journal.append([draft("d")], NOW_S)

    assert first.numbers == [1, 2, 3]
    assert second.numbers == [4]
    assert (first.before.number, second.before.number) == (0, 3)
    assert second.before[::2] == first.before[::2]
    assert journal.point().number == 4


def test_nothing_said_is_nothing_kept(journal):
    assert journal.append([], NOW_S).numbers == []
    assert journal.point().number == 0


def test_two_users_of_a_journal_continue_the_same_numbers(open_journal):
    one, other = open_journal(), open_journal()

    numbers = [user.append([draft()], NOW_S).numbers for user in (one, other, one)]

    assert numbers == [[1], [2], [3]]
    assert one.point() == other.point()


def test_the_same_draft_twice_is_two_messages(journal):
    one = draft("a")

    assert journal.append([one, one], NOW_S).numbers == [1, 2]


# -- news


def said(news):
    return [
        (row.topic, one.number, str(message_of(one.frame)))
        for row in news.rows
        for one in row.messages
    ]


def test_news_are_all_messages_behind_a_number_in_their_order(journal):
    journal.append([draft("a"), draft("b"), draft("c", ROOM)], NOW_S)
    journal.append([draft("d")], NOW_S + 1)

    news = journal.news(0)

    assert said(news) == [(CHAT, 1, "a"), (CHAT, 2, "b"), (ROOM, 3, "c"), (CHAT, 4, "d")]
    assert (news.point, news.is_whole) == (journal.point(), True)
    assert [one.said_at_s for row in news.rows for one in row.messages] == [NOW_S] * 3 + [NOW_S + 1]


def test_news_behind_the_latest_message_are_none(journal):
    journal.append(drafts("a", "b"), NOW_S)

    assert journal.news(2) == (journal.point(), [], True, 0)


def test_news_come_in_pages_that_join_without_a_gap(journal):
    for number in range(MOST_ROWS + 50):
        journal.append([draft(str(number))], NOW_S)

    first = journal.news(0)
    second = journal.news(first.point.number)

    assert len(first.rows) == MOST_ROWS
    assert first.point.number == first.rows[-1].messages[-1].number
    assert [text for _, _, text in said(first) + said(second)] == [
        str(number) for number in range(MOST_ROWS + 50)
    ]
    assert second.point == journal.point()
    assert first.is_whole
    assert second.is_whole


def test_news_behind_a_number_that_was_never_given_are_not_whole(journal):
    journal.append([draft()], NOW_S)

    assert not journal.news(2).is_whole


def test_what_is_young_stays_news_though_its_topic_has_too_many(journal):
    few = KeptLimits(most_messages=1, longest_s=300.0)

    for number in range(100):
        journal.append([draft(str(number), limits=few)], NOW_S + number / 100)

    news = journal.news(0)
    assert news.is_whole
    assert [text for _, _, text in said(news)] == [str(number) for number in range(100)]


def test_what_another_user_has_just_said_stays_news_for_a_third(open_journal):
    few = KeptLimits(most_messages=1, longest_s=300.0)
    one, other = open_journal(), open_journal()
    for number in range(50):
        one.append([draft(str(number), limits=few)], NOW_S)

    for _ in range(50):
        other.append([draft("x", limits=few)], NOW_S)

    assert one.news(0).is_whole
    assert len(said(one.news(0))) == 100


def test_what_was_too_much_and_is_old_is_no_news_any_more_and_that_is_said(journal):
    few = KeptLimits(most_messages=5, longest_s=300.0)
    for second in range(60):
        journal.append([draft(str(second), limits=few)], NOW_S + second)

    assert not journal.news(0).is_whole
    assert journal.news(50).is_whole


def test_a_message_stays_news_for_a_while_though_it_is_too_old(journal):
    short = KeptLimits(most_messages=5, longest_s=1.0)
    journal.append([draft("a", limits=short)], NOW_S)

    journal.sweep(NOW_S + 5)

    assert [text for _, _, text in said(journal.news(0))] == ["a"]
    assert journal.news(0).is_whole


def test_the_present_of_a_topic_outlives_any_number_of_messages_to_others(open_journal):
    journal = open_journal(most_bytes=262_144)
    still, busy = KeptLimits(1, 86_400.0), KeptLimits(1, 86_400.0)
    journal.append([draft("state", OTHER, still)], NOW_S)

    for second in range(200):
        journal.append([draft("x" * 1_000, limits=busy) for _ in range(10)], NOW_S + second)
        if not second % 10:
            journal.sweep(NOW_S + second)

    assert latest(journal, topic=OTHER, limits=still, now_s=NOW_S + 200) == ["state"]
    assert journal.size_bytes() < 262_144


# -- what somebody missed


def test_what_was_missed_is_of_one_topic_oldest_first(journal):
    journal.append([draft("a"), draft("b", ROOM), draft("c"), draft("d")], NOW_S)

    assert missed(journal, 0) == ["a", "c", "d"]
    assert missed(journal, 1) == ["c", "d"]
    assert missed(journal, 3) == ["d"]
    assert missed(journal, 4) == []
    assert missed(journal, 0, topic=ROOM) == ["b"]
    assert missed(journal, 0, topic=OTHER) == []


def test_nothing_behind_the_end_was_missed(journal):
    journal.append(drafts("a", "b", "c"), NOW_S)

    assert missed(journal, 0, end=2) == ["a", "b"]
    assert missed(journal, 2, end=2) == []


@pytest.mark.parametrize("count", [99, 100])
def test_as_many_messages_as_are_kept_can_be_missed(journal, count):
    for number in range(count):
        journal.append([draft(str(number))], NOW_S)

    assert missed(journal, 0) == [str(number) for number in range(count)]


def test_one_message_too_many_is_a_gap(journal):
    journal.append(drafts(*map(str, range(101))), NOW_S)

    assert missed(journal, 0) is None
    assert missed(journal, 1) == [str(number) for number in range(1, 101)]


def test_messages_of_exactly_the_age_that_is_kept_can_be_missed(journal):
    journal.append([draft("a")], NOW_S)

    assert missed(journal, 0, now_s=NOW_S + 300) == ["a"]
    assert missed(journal, 0, now_s=NOW_S + 300.01) is None


def test_who_missed_only_what_is_young_enough_has_no_gap(journal):
    journal.append([draft("old")], NOW_S)
    journal.append([draft("young")], NOW_S + 200)

    assert missed(journal, 1, now_s=NOW_S + 400) == ["young"]


def test_what_was_swept_away_is_a_gap_for_who_missed_it_alone(journal):
    journal.append([draft("old")], NOW_S)
    journal.append([draft("young")], NOW_S + 299)
    journal.append([draft("other", OTHER)], NOW_S + 299)

    journal.sweep(NOW_S + 301)

    assert missed(journal, 0, now_s=NOW_S + 301) is None
    assert missed(journal, 1, now_s=NOW_S + 301) == ["young"]
    assert missed(journal, 0, now_s=NOW_S + 301, topic=OTHER) == ["other"]


def test_a_topic_that_was_swept_empty_still_knows_of_its_gap(journal):
    journal.append([draft("old")], NOW_S)

    journal.sweep(NOW_S + 301)

    assert latest(journal, now_s=NOW_S + 301) == []
    assert missed(journal, 0, now_s=NOW_S + 301) is None
    assert missed(journal, 1, now_s=NOW_S + 301) == []


def page_through(journal, limits, number=0):
    pages = []
    while page := journal.missed(CHAT, number, 1 << 40, limits, NOW_S):
        pages.append(page)
        number = page[-1].number
    assert page is not None
    return pages


def test_much_is_read_in_pages(journal):
    many = KeptLimits(10_000, 300.0)
    for number in range(600):
        journal.append([draft(str(number), limits=many)], NOW_S)

    pages = page_through(journal, many)

    assert [len(page) for page in pages] == [MOST_ROWS, MOST_ROWS, 600 - 2 * MOST_ROWS]
    assert [text for page in pages for text in texts(page)] == [str(one) for one in range(600)]


def test_a_page_of_long_messages_is_short(journal):
    for number in range(40):
        journal.append([draft(str(number) * 20_000)], NOW_S)

    pages = page_through(journal, LIMITS)

    assert max(sum(len(one.frame) for one in page) for page in pages) < 2 * MOST_PAGE_BYTES
    assert sum(map(len, pages)) == 40


def test_the_latest_are_the_last_ones_oldest_first(journal):
    journal.append(drafts("a", "b", "c"), NOW_S)
    journal.append([draft("d", ROOM), draft("e")], NOW_S + 1)

    assert latest(journal, 2) == ["c", "e"]
    assert latest(journal, 10) == ["a", "b", "c", "e"]
    assert latest(journal, 2, end=3) == ["b", "c"]
    assert latest(journal, 0) == []
    assert latest(journal, 10, now_s=NOW_S + 300.5) == ["e"]
    assert latest(journal, 10, topic=OTHER) == []


# -- forgetting, sizes


def test_what_is_forgotten_is_gone_and_a_gap_for_who_missed_it(journal):
    journal.append([draft("a"), draft("b", ROOM)], NOW_S)

    journal.forget(CHAT)
    journal.append([draft("c")], NOW_S)

    assert latest(journal) == ["c"]
    assert missed(journal, 0) is None
    assert missed(journal, 2) == ["c"]
    assert missed(journal, 0, topic=ROOM) == ["b"]
    assert [text for _, _, text in said(journal.news(0))] == ["b", "c"]
    assert not journal.news(0).is_whole


def test_to_forget_what_nobody_said_changes_nothing(journal):
    journal.append([draft("a")], NOW_S)

    journal.forget(OTHER)

    assert journal.news(0).is_whole
    assert missed(journal, 0) == ["a"]


def test_where_there_is_too_much_the_oldest_goes_first_and_that_is_said(open_journal):
    journal = open_journal(most_bytes=262_144)
    many = KeptLimits(10_000, 300.0)

    journal.append([draft("first", OTHER, many)], NOW_S)
    for number in range(400):
        journal.append([draft(f"{number} {'x' * 1_000}", limits=many)], NOW_S + number / 10)
    journal.sweep(NOW_S + 40)

    now_s = NOW_S + 40
    kept = latest(journal, 1_000, limits=many, now_s=now_s)
    assert journal.size_bytes() <= 262_144
    assert 100 < len(kept) < 300
    assert [text.split()[0] for text in kept] == [str(n) for n in range(400 - len(kept), 400)]
    assert latest(journal, topic=OTHER, limits=many, now_s=now_s) == []
    assert missed(journal, 0, topic=OTHER, limits=many, now_s=now_s) is None
    assert missed(journal, 0, limits=many, now_s=now_s) is None
    assert not journal.news(0).is_whole


def test_a_message_that_is_larger_than_all_room_can_still_be_heard(open_journal):
    journal = open_journal(most_bytes=65_536)
    journal.append([draft("a")], NOW_S)

    journal.append([draft("x" * 100_000)], NOW_S)

    news = journal.news(1)
    assert news.is_whole
    assert [len(text) for _, _, text in said(news)] == [100_000]


# -- once


def test_what_was_said_under_a_key_is_not_kept_again(journal):
    first = journal.append([draft("a", once="k"), draft("b", once="k"), draft("c")], NOW_S)
    second = journal.append([draft("d", once="k"), draft("e", once="l")], NOW_S)

    assert first.numbers == [1, 0, 2]
    assert second.numbers == [0, 3]
    assert latest(journal) == ["a", "c", "e"]


def test_a_key_is_remembered_at_least_as_long_as_its_message(journal):
    journal.append([draft("a", once="k")], NOW_S)

    journal.sweep(NOW_S + 299)

    assert journal.append([draft("b", once="k")], NOW_S + 299).numbers == [0]


def test_a_key_is_forgotten_at_last(journal):
    journal.append([draft("a", once="k")], NOW_S)

    journal.sweep(NOW_S + 301)

    assert journal.append([draft("b", once="k")], NOW_S + 301).numbers == [2]


def test_keys_hold_for_all_users(open_journal):
    one, other = open_journal(), open_journal()

    one.append([draft("a", once="k")], NOW_S)

    assert other.append([draft("b", once="k")], NOW_S).numbers == [0]


def test_a_key_belongs_to_its_path_or_room(journal):
    journal.append([draft("a", once="k")], NOW_S)

    there = journal.append([draft("b", OTHER, once="k"), draft("c", ROOM, once="k")], NOW_S)
    again = journal.append([draft("d", OTHER, once="k"), draft("e", ROOM, once="k")], NOW_S)

    assert there.numbers == [2, 3]
    assert again.numbers == [0, 0]


# -- epochs, declarations


def test_a_new_epoch_goes_on_with_the_numbers_of_the_same_copy(open_journal):
    one, other = open_journal(), open_journal()
    one.append([draft()], NOW_S)
    before = one.point()

    renewed = one.renew()

    assert renewed.epoch != before.epoch
    assert renewed[1:] == before[1:]
    assert other.point() == renewed
    assert other.append([draft()], NOW_S).numbers == [2]


def test_what_is_declared_is_there_for_all_users_sorted_and_once(open_journal):
    one, other = open_journal(), open_journal()
    path = Declared(2, "/ws/chat/{room}", KeptLimits(100, 300.0, 20))
    room = Declared(3, "orders:{id}", KeptLimits(1, 60.0, 1))

    one.declare([room, path, path])

    assert other.declared() == [path, room]
    other.declare([room])
    assert one.declared() == [room]


def test_nothing_is_declared_at_first(journal):
    assert journal.declared() == []


# -- frames and authors


def test_each_message_keeps_its_author(journal):
    authors = ["", "abcdefghijkl", "", "ABCDEFGHIJ-_"]

    journal.append([draft(author=author) for author in authors], NOW_S)

    (row,) = [row for row in journal.news(0).rows if len(row.messages) > 1] or [None]
    found = journal.missed(CHAT, 0, 100, LIMITS, NOW_S)
    assert [one.author for one in found] == authors
    if row is not None:
        assert row.messages == found


LENGTHS = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000]


def test_frames_with_heads_of_all_lengths_come_back_as_they_were(journal):
    frames = [frame_of(0x82, bytes([length % 256]) * length) for length in LENGTHS]

    journal.append([Draft(CHAT, frame, LIMITS) for frame in frames], NOW_S)

    assert [one.frame for one in journal.missed(CHAT, 0, 100, LIMITS, NOW_S)] == frames
    assert [one.frame for row in journal.news(0).rows for one in row.messages] == frames


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["append", "sweep", "forget", "renew"]),
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 300)), max_size=4),
        st.floats(0, 4),
    ),
    max_size=25,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_whatever_happens_what_was_missed_is_exact_or_a_gap(kind, tmp_path_factory, steps):
    from tests.journal.conftest import MANY_BYTES, file_journal
    from tina4_wsgi.journal.memory import MemoryJournal

    journal = (
        MemoryJournal(MANY_BYTES)
        if kind == "memory"
        else file_journal(tmp_path_factory.mktemp("j") / "h.sqlite")
    )
    limits = KeptLimits(most_messages=4, longest_s=8.0)
    all_said: list[list[tuple[int, float, bytes]]] = [[], [], []]
    forgotten = [0, 0, 0]
    now_s, number = NOW_S, 0
    try:
        for name, said_now, pause_s in steps:
            now_s += pause_s
            if name == "append":
                batch = [
                    Draft((2, f"/{topic}"), text_frame("x" * size), limits)
                    for topic, size in said_now
                ]
                numbers = journal.append(batch, now_s).numbers
                assert numbers == list(range(number + 1, number + 1 + len(batch)))
                for (topic, _), one, given_number in zip(said_now, batch, numbers, strict=True):
                    all_said[topic].append((given_number, now_s, one.frame))
                number += len(batch)
            elif name == "sweep":
                journal.sweep(now_s)
            elif name == "renew":
                journal.renew()
            else:
                journal.forget((2, "/0"))
                forgotten[0] = number

            for topic, messages in enumerate(all_said):
                for since in {0, number // 2, max(0, number - 1), number}:
                    found = journal.missed((2, f"/{topic}"), since, number, limits, now_s)
                    behind = [one for one in messages if one[0] > since]
                    is_there = (
                        len(behind) <= 4
                        and all(at_s >= now_s - 8.0 for _, at_s, _ in behind)
                        and not any(n <= forgotten[topic] for n, _, _ in behind)
                    )
                    expected = [(n, frame) for n, _, frame in behind] if is_there else None
                    assert expected == (
                        None if found is None else [(one.number, one.frame) for one in found]
                    )
    finally:
        journal.close()


def test_drafts_to_one_topic_in_a_row_are_a_run():
    one, two = draft(topic=CHAT), draft(topic=OTHER)

    assert runs([one, one, two, one]) == [(0, 2), (2, 3), (3, 4)]
    assert runs([]) == []
