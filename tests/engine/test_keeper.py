"""The journal as one hub uses it: order, bells, and what happens while the journal can't be used."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from tests.journal.conftest import CHAT, LIMITS, ROOM, draft, file_journal
from tests.support.engine_house import wait_until
from tina4_wsgi.engine import keeper as keeper_module
from tina4_wsgi.engine.keeper import HubKeeper
from tina4_wsgi.errors import JournalError
from tina4_wsgi.journal import database as database_module
from tina4_wsgi.journal.contract import MOST_ROWS
from tina4_wsgi.journal.positions import Position, parse
from tina4_wsgi.protocol.marks import message_of


class Ears:
    """An audience that writes down what it hears; `others` are the keepers that its bells reach."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.others: list[HubKeeper] = []
        self.bells = 0

    def hear_kept(self, topic: Any, numbers: Any, frames: Any, excludes: Any) -> None:
        for place, (number, frame) in enumerate(zip(numbers, frames, strict=True)):
            exclude = None if excludes is None else excludes[place]
            text = message_of(frame)
            self.heard.append((number, text) if exclude is None else (number, text, exclude))

    def hear_unkept(self, draft: Any, exclude: Any) -> None:
        self.heard.append(("unkept", message_of(draft.frame)))

    def ring(self, topic: Any, frames: Any, before: int) -> None:
        self.bells += 1
        self.before = before
        for one in self.others:
            one.ring()

    def hear_void(self) -> None:
        self.heard.append("void")

    def hear_position(self, position: str, *, has_gap: bool) -> None:
        self.heard.append(("gap" if has_gap else "position", parse(position).number))

    @property
    def kept(self) -> list[Any]:
        return [one for one in self.heard if isinstance(one, tuple) and isinstance(one[0], int)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "_MEND_S", 0.03)
    monkeypatch.setattr(database_module, "PATIENCE_S", 0.001)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "h" / "history.sqlite"


@pytest.fixture
def hire(path: Path) -> Iterator[Callable[[], Any]]:
    """One more hub that follows the journal."""
    hired: list[Any] = []

    def hire() -> Any:
        ears = Ears()
        keeper: Any = HubKeeper(gevent.get_hub().loop, ears, file_journal(path))
        keeper.ears = ears
        keeper.follow()
        hired.append(keeper)
        return keeper

    yield hire
    gevent.sleep(0)
    for one in hired:
        one.close()


@pytest.fixture
def keeper(hire: Callable[[], Any]) -> Any:
    return hire()


class Holder:
    """A process that holds the file."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("BEGIN IMMEDIATE")

    def let_go(self) -> None:
        self._connection.close()


@pytest.fixture
def hold(path: Path) -> Iterator[Callable[[], Holder]]:
    holders: list[Holder] = []

    def hold() -> Holder:
        holders.append(Holder(path))
        return holders[-1]

    yield hold
    for one in holders:
        one.let_go()


def mended(keeper: HubKeeper) -> None:
    """Let the time pass after which the journal is tried again."""

    def is_well() -> bool:
        keeper.hear()
        return not keeper.error

    wait_until(is_well)


# -- saying and hearing


def test_what_is_said_is_heard_at_the_end_of_the_turn_in_the_order_of_the_calls(keeper):
    for text in "abc":
        keeper.keep(draft(text))
    keeper.keep(draft("d", ROOM))
    keeper.keep(draft("e"))
    assert keeper.ears.heard == []

    gevent.sleep(0)

    assert keeper.ears.heard == [(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e")]
    assert keeper.ears.bells == 3  # one for each run of messages to one topic
    assert keeper.counts.kept == 5


def test_it_is_heard_at_once_where_something_must_come_behind_it(keeper):
    keeper.keep(draft("a"))

    keeper.finish()

    assert keeper.ears.heard == [(1, "a")]
    gevent.sleep(0)
    assert keeper.ears.heard == [(1, "a")]


def test_very_much_is_kept_before_the_turn_ends(keeper):
    for _ in range(6):
        keeper.keep(draft("x" * 50_000))

    assert len(keeper.ears.kept) == 6


def test_each_message_keeps_who_is_not_to_hear_it(keeper):
    one: Any = object()

    keeper.keep(draft("a"), one)
    keeper.keep(draft("b"))
    keeper.finish()

    assert keeper.ears.heard == [(1, "a", one), (2, "b")]


def test_what_others_kept_before_is_heard_before(hire):
    one, other = hire(), hire()
    other.keep(draft("first"))
    other.finish()
    one.keep(draft("second"))

    one.finish()

    assert one.ears.heard == [(1, "first"), (2, "second")]


def test_all_hear_the_same_order(hire):
    keepers = [hire() for _ in range(3)]
    for one in keepers:
        one.ears.others = [other for other in keepers if other is not one]

    for number in range(30):
        keepers[number % 3].keep(draft(str(number)))
        if number % 7 == 0:
            gevent.sleep(0)
    wait_until(lambda: all(len(one.ears.heard) == 30 for one in keepers))

    heard = [one.ears.heard for one in keepers]
    assert heard[0] == heard[1] == heard[2]
    assert sorted(int(text) for _, text in heard[0]) == list(range(30))
    assert [number for number, _ in heard[0]] == list(range(1, 31))


def test_what_was_said_under_a_key_is_neither_kept_nor_heard_again(keeper):
    for text in "ab":
        keeper.keep(draft(text, once="k"))
    keeper.keep(draft("c"))
    keeper.finish()
    keeper.keep(draft("d", once="k"))
    keeper.finish()

    assert keeper.ears.heard == [(1, "a"), (2, "c")]
    assert keeper.counts.repeated == 2


def test_a_bell_that_got_lost_is_made_up_by_a_look(hire):
    one, other = hire(), hire()
    other.keep(draft("a"))
    other.finish()

    one.look(time.monotonic())

    assert one.ears.heard == [(1, "a")]


def test_looks_come_once_in_a_while(hire):
    one, other = hire(), hire()
    now_s = time.monotonic()
    one.look(now_s)
    other.keep(draft("a"))
    other.finish()

    one.look(now_s + 0.5)
    assert one.ears.heard == []
    one.look(now_s + 1.1)
    assert one.ears.heard == [(1, "a")]


def test_many_pages_of_news_are_heard_in_one_go(hire):
    one, other = hire(), hire()
    for number in range(2 * MOST_ROWS + 5):
        other.keep(draft(str(number)))
        other.finish()

    one.hear()

    assert [number for number, _ in one.ears.heard] == list(range(1, 2 * MOST_ROWS + 6))


def test_many_pages_of_news_are_heard_before_what_is_said_here(hire):
    one, other = hire(), hire()
    for number in range(MOST_ROWS + 5):
        other.keep(draft(str(number)))
        other.finish()

    one.keep(draft("mine"))
    one.finish()

    assert one.ears.heard[-2:] == [(MOST_ROWS + 5, str(MOST_ROWS + 4)), (MOST_ROWS + 6, "mine")]
    assert len(one.ears.heard) == MOST_ROWS + 6


def test_a_bell_and_what_must_come_behind_it(hire):
    one, other = hire(), hire()
    other.keep(draft("a"))
    other.finish()
    one.ring()

    one.settle()

    assert one.ears.heard == [(1, "a")]
    gevent.sleep(0)
    assert one.ears.heard == [(1, "a")]


def test_what_a_message_sets_off_does_not_say_it_twice(hire):
    one, other = hire(), hire()
    other.keep(draft("a"))
    other.finish()
    hear_kept = one.ears.hear_kept

    def hear_and_settle(*row: Any) -> None:
        hear_kept(*row)
        one.ring()
        one.settle()  # as somebody who is closed for being slow does

    one.ears.hear_kept = hear_and_settle
    one.keep(draft("b"))
    one.finish()
    gevent.sleep(0.01)

    assert one.ears.heard == [(1, "a"), (2, "b")]


# -- following


def test_who_begins_to_follow_hears_nothing_of_before(hire, path):
    early = hire()
    early.keep(draft("a"))
    early.finish()

    late = hire()
    late.hear()
    early.keep(draft("b"))
    early.finish()
    late.hear()

    assert late.ears.heard == [(2, "b")]


def test_who_stops_following_and_begins_anew_hears_nothing_of_the_time_between(hire):
    one, other = hire(), hire()
    one.stop_following()
    other.keep(draft("a"))
    other.finish()
    one.ring()
    gevent.sleep(0)

    one.follow()
    other.keep(draft("b"))
    other.finish()
    one.hear()

    assert one.ears.heard == [(2, "b")]


def test_who_does_not_follow_still_keeps_what_it_says(hire):
    one, other = hire(), hire()
    one.stop_following()
    other.keep(draft("a"))
    other.finish()

    one.keep(draft("b"))
    one.finish()
    other.hear()

    assert one.ears.heard == [(2, "b")]
    assert other.ears.heard == [(1, "a"), (2, "b")]


# -- positions


def test_its_position_is_behind_what_was_heard_here(hire):
    one, other = hire(), hire()
    other.keep(draft("a"))
    other.finish()

    assert parse(one.position).number == 0
    one.hear()
    assert one.position == other.position
    assert parse(one.position).number == 1


def test_a_position_is_of_now_in_its_epoch_and_up_to_where_the_hub_is(keeper):
    keeper.keep(draft("a"))
    keeper.finish()
    epoch = parse(keeper.position).epoch

    assert keeper.is_of_now(Position(epoch, 0))
    assert keeper.is_of_now(Position(epoch, 1))
    assert not keeper.is_of_now(Position(epoch, 2))
    assert not keeper.is_of_now(Position("other", 0))
    assert not keeper.is_of_now(Position("", 0))


def test_nobody_gets_out_of_the_journal_what_the_hub_has_not_heard_yet(hire):
    one, other = hire(), hire()
    other.keep(draft("a"))
    other.finish()

    assert one.missed(CHAT, 0, LIMITS) == []
    assert one.latest(CHAT, 5, LIMITS) == []
    one.hear()
    assert len(one.missed(CHAT, 0, LIMITS)) == len(one.latest(CHAT, 5, LIMITS)) == 1


# -- when the journal fails


def test_what_cannot_be_kept_is_heard_all_the_same_and_positions_are_void(keeper, hold, caplog):
    hold()

    with caplog.at_level(logging.WARNING, "tina4_wsgi.history"):
        for text in "ab":
            keeper.keep(draft(text))
        keeper.finish()
        keeper.keep(draft("c"))
        gevent.sleep(0)

    assert keeper.ears.heard == ["void", ("unkept", "a"), ("unkept", "b"), ("unkept", "c")]
    assert (keeper.position, keeper.epoch) == ("-", "")
    assert not keeper.is_of_now(Position("", 0))
    assert (keeper.counts.unkept, keeper.counts.failures) == (3, 1)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "messages can't be kept at present" in record.getMessage()


def test_while_it_fails_it_is_left_alone_for_a_while(keeper, hold, monkeypatch):
    monkeypatch.setattr(keeper_module, "_MEND_S", 60.0)
    holder = hold()
    keeper.keep(draft("a"))
    keeper.finish()
    holder.let_go()

    keeper.keep(draft("b"))
    keeper.hear()

    assert keeper.ears.heard == ["void", ("unkept", "a"), ("unkept", "b")]


def test_when_it_can_be_used_again_positions_begin_anew_without_a_gap(keeper, hold, caplog):
    keeper.keep(draft("a"))
    keeper.finish()
    epoch = keeper.epoch
    holder = hold()
    keeper.keep(draft("b"))
    keeper.finish()
    holder.let_go()

    with caplog.at_level(logging.WARNING, "tina4_wsgi.history"):
        mended(keeper)
        gevent.sleep(0)

    assert keeper.ears.heard == [(1, "a"), "void", ("unkept", "b"), ("position", 1)]
    assert keeper.epoch not in ("", epoch)
    assert "messages are kept again" in caplog.records[-1].getMessage()


def test_the_first_message_behind_the_pause_mends_it_too(keeper, hold):
    holder = hold()
    keeper.keep(draft("a"))
    keeper.finish()
    holder.let_go()
    gevent.sleep(0.04)

    keeper.keep(draft("b"))
    keeper.finish()

    assert keeper.ears.heard == ["void", ("unkept", "a"), ("position", 0), (1, "b")]


def test_a_failure_that_lasts_is_said_once(keeper, hold, caplog):
    hold()

    with caplog.at_level(logging.WARNING, "tina4_wsgi.history"):
        for text in "abc":
            keeper.keep(draft(text))
            keeper.finish()
            gevent.sleep(0.04)
            keeper.hear()
        gevent.sleep(0)

    assert keeper.ears.heard == ["void", *(("unkept", text) for text in "abc")]
    assert len(caplog.records) == 1


def test_others_hear_of_a_new_epoch_without_a_gap(hire, hold):
    one, other = hire(), hire()
    holder = hold()
    one.keep(draft("a"))
    one.finish()
    holder.let_go()
    mended(one)

    other.hear()

    assert other.ears.heard == [("position", 0)]
    assert other.position == one.position


def test_another_copy_is_a_gap_for_all(hire, path):
    one, other = hire(), hire()
    one.keep(draft("a"))
    one.finish()
    path.unlink()

    one.keep(draft("b"))
    one.finish()
    other.hear()

    assert one.ears.heard == [(1, "a"), ("gap", 0), (1, "b")]
    assert other.ears.heard == [("gap", 1)]
    assert one.position == other.position


def test_news_that_are_dropped_already_are_a_gap(hire):
    one, other = hire(), hire()
    other.keep(draft("a"))
    other.finish()
    other._journal.forget(CHAT)

    one.hear()

    assert one.ears.heard == [("gap", 1)]


def test_where_what_others_said_cannot_be_read_what_is_said_here_is_kept_once(hire, monkeypatch):
    one, other = hire(), hire()
    other.keep(draft("lost here"))
    other.finish()

    def fail(number: int) -> Any:
        raise JournalError("as if its disk were gone")

    monkeypatch.setattr(one._journal, "news", fail)
    one.keep(draft("kept"))
    one.finish()
    monkeypatch.undo()
    mended_at = one.ears.heard[:]
    one._mend_at_s = 0.0
    one.hear()
    other.hear()

    assert mended_at == ["void", (2, "kept")]
    assert one.ears.heard == ["void", (2, "kept"), ("gap", 2)]
    assert list(other.ears.kept) == [(1, "lost here"), (2, "kept")]


def test_who_begins_to_follow_while_it_fails_hears_nothing_of_before_either(hire, hold, path):
    other = hire()
    one = hire()
    one.stop_following()
    for text in "abc":
        other.keep(draft(text))
        other.finish()
    holder = hold()
    one.keep(draft("x"))
    one.finish()
    one.follow()
    holder.let_go()

    mended(one)

    assert one.ears.heard == ["void", ("unkept", "x"), ("gap", 3)]


def test_who_ends_while_it_fails_has_the_next_one_begin_anew(hire, hold):
    one, other = hire(), hire()
    before = other.epoch
    holder = hold()
    one.keep(draft("a"))
    one.finish()
    holder.let_go()

    one.close()
    other.hear()

    assert other.epoch != before


# -- doubts


def test_a_doubt_makes_positions_void_until_a_new_epoch_begins(keeper):
    keeper.keep(draft("a"))
    keeper.finish()
    epoch = keeper.epoch

    keeper.doubt()
    assert (keeper.position, keeper.epoch) == ("-", "")
    gevent.sleep(0)

    assert keeper.ears.heard == [(1, "a"), "void", ("position", 1)]
    assert keeper.epoch not in ("", epoch)


def test_doubts_in_quick_succession_make_one_new_epoch_and_one_later(keeper):
    epochs = set()
    for _ in range(50):
        keeper.doubt()
        gevent.sleep(0)
        epochs.add(keeper._journal.point().epoch)
    assert len(epochs) <= 3
    assert keeper.epoch == ""

    gevent.sleep(0.04)
    keeper.hear()

    assert keeper.epoch not in ("", *epochs)


def test_while_it_doubts_it_keeps_what_is_said(keeper):
    keeper.doubt()
    keeper.keep(draft("a"))
    keeper.finish()
    keeper.doubt()
    gevent.sleep(0)
    keeper.keep(draft("b"))
    keeper.finish()

    assert keeper.ears.kept == [(1, "a"), (2, "b")]
    assert keeper.counts.unkept == 0


def test_who_does_not_follow_begins_a_new_epoch_for_each_doubt(keeper):
    keeper.stop_following()
    epochs = [keeper._journal.point().epoch]
    for _ in range(3):
        keeper.doubt()
        gevent.sleep(0)
        epochs.append(keeper._journal.point().epoch)

    assert len(set(epochs)) == 4
    assert "" not in epochs


def test_a_doubt_while_it_fails_ends_with_it(keeper, hold):
    holder = hold()
    keeper.keep(draft("a"))
    keeper.finish()
    keeper.doubt()
    holder.let_go()

    mended(keeper)

    assert keeper.epoch != ""
    assert keeper.ears.heard == ["void", ("unkept", "a"), ("position", 0)]


def test_the_clock_of_the_wall_may_go_back(hire, monkeypatch):
    one, other = hire(), hire()
    one.keep(draft("a"))
    one.finish()
    now_s = time.time()
    monkeypatch.setattr(time, "time", lambda: now_s - 86_400)

    one.keep(draft("b"))
    one.finish()
    other.hear()

    assert other.ears.heard == [(1, "a"), (2, "b")]
    assert [message_of(m.frame) for m in other.missed(CHAT, 0, LIMITS)] == ["a", "b"]


# -- pages for those who come back


def test_what_another_process_has_forgotten_is_not_read_from_an_older_page(hire, path):
    keeper = hire()
    keeper.keep(draft("a"))
    keeper.finish()
    assert len(keeper.missed(CHAT, 0, LIMITS)) == 1

    file_journal(path).forget(CHAT)
    keeper.hear()

    assert keeper.missed(CHAT, 0, LIMITS) is None
    assert keeper.latest(CHAT, 5, LIMITS) == []


def test_a_page_has_what_was_said_since_the_last_one(keeper):
    assert keeper.latest(CHAT, 5, LIMITS) == keeper.missed(CHAT, 0, LIMITS) == []

    keeper.keep(draft("a"))
    keeper.finish()

    assert len(keeper.missed(CHAT, 0, LIMITS)) == len(keeper.latest(CHAT, 5, LIMITS)) == 1


def test_many_who_come_back_cost_one_look_at_what_they_missed(keeper, monkeypatch):
    keeper.keep(draft("a"))
    keeper.finish()
    asked = []
    monkeypatch.setattr(keeper._journal, "missed", lambda *args: asked.append(args) or [])

    for _ in range(5):
        keeper.hear()
        keeper.missed(CHAT, 0, LIMITS)

    assert len(asked) == 1
