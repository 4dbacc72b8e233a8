"""What counts as missed: made-up notes of clients, and the tally of them."""

from __future__ import annotations

import pytest

from chaos.resuming.faults import FAULTS
from chaos.resuming.ledger import Event, Listener, Tally, judge, order_of
from chaos.resuming.verdict import broken_promises

SAID = ("a.0", "a.1", "a.2", "a.3")
KINDS = (
    "foreign",
    "lost",
    "silent",
    "late",
    "doubled",
    "disordered",
    "told",
    "for_nothing",
    "split",
)


def listener(notes: str, name: str = "client") -> Listener:
    """Make a client that noted "open", then each word: a number is a message, "!" a gap."""
    events = [
        Event("missed") if word == "!" else Event("heard", f"a.{word}") for word in notes.split()
    ]
    return Listener(name, "r0", [Event("open"), *events])


def judge_one(notes: str) -> Tally:
    """Judge a client beside one that heard all."""
    return judge([listener("0 1 2 3", "witness"), listener(notes)], {"r0": SAID})


def found(tally: Tally) -> dict[str, int]:
    return {kind: getattr(tally, kind) for kind in KINDS if getattr(tally, kind)}


def test_clients_that_heard_all_once_and_in_order_miss_nothing():
    tally = judge_one("0 1 2 3")

    assert (found(tally), tally.owed) == ({}, 8)


@pytest.mark.parametrize("notes", ["1 2 3", "0 2 3", "0 1 2", "! 0 1 2"])
def test_a_message_that_never_comes_is_lost_without_a_word(notes):
    tally = judge_one(notes)

    assert (tally.lost, tally.silent, tally.late) == (1, 1, 0)
    assert "for client in r0" in tally.places["silent"][0]


@pytest.mark.parametrize("notes", ["! 1 2 3", "0 ! 2 3", "0 1 2 !"])
def test_a_loss_that_the_client_is_told_of_in_its_place_is_not_silent(notes):
    assert found(judge_one(notes)) == {"lost": 1, "told": 1}


def test_a_loss_that_the_client_is_told_of_after_a_later_message_is_late():
    assert found(judge_one("0 2 ! 3")) == {"lost": 1, "late": 1, "told": 1}


def test_one_word_excuses_all_that_was_lost_before_it():
    assert found(judge_one("0 ! 3")) == {"lost": 2, "told": 1}


def test_a_word_excuses_nothing_that_is_lost_afterwards():
    assert found(judge_one("0 ! 2")) == {"lost": 2, "silent": 1, "told": 1}


def test_a_client_that_is_told_and_has_missed_nothing_is_told_for_nothing():
    assert found(judge_one("0 1 ! 2 3")) == {"told": 1, "for_nothing": 1}


def test_a_message_that_comes_again_is_doubled_and_not_out_of_order():
    assert found(judge_one("0 1 2 1 3")) == {"doubled": 1, "split": 1}


def test_a_message_that_comes_behind_a_later_one_is_out_of_order():
    assert found(judge_one("0 2 1 3")) == {"disordered": 1, "split": 1}


def test_what_the_sender_was_told_is_owed_also_if_nobody_heard_it():
    tally = judge([listener("0 1 3"), listener("0 1 3", "other")], {"r0": SAID})

    assert found(tally) == {"lost": 2, "silent": 2}


def test_what_one_client_heard_is_owed_to_all_whatever_the_sender_knows():
    tally = judge([listener("0 1"), listener("0", "other")], {"r0": ["a.0"]})

    assert (tally.owed, tally.silent) == (4, 1)


def test_a_text_that_no_sender_of_the_room_said_is_foreign_and_owed_to_nobody():
    odd = listener("0 1 2 3")
    odd.notes.insert(2, Event("heard", "#k3x9Qz1a.0-42:"))

    tally = judge([listener("0 1 2 3", "witness"), odd], {"r0": SAID})

    assert (found(tally), tally.owed) == ({"foreign": 1}, 8)


def test_rooms_owe_nothing_to_clients_of_others():
    other = Listener("other", "r1", [Event("open"), Event("heard", "b.0")])

    assert found(judge([listener("0 1 2 3"), other], {"r0": SAID, "r1": ["b.0"]})) == {}


def hearing(*words: tuple[str, int]) -> Listener:
    return Listener("client", "r0", [Event("heard", text, at_ms) for text, at_ms in words])


def test_the_order_of_a_room_is_that_of_its_clients():
    order = order_of(
        [
            hearing(("a", 1), ("c", 3)),
            hearing(("a", 1), ("b", 9), ("c", 9), ("e", 9)),
            hearing(("c", 3), ("d", 4)),
        ]
    )

    assert order == ["a", "b", "c", "d", "e"]


def test_a_gap_of_one_client_leaves_its_place_to_those_that_heard_more():
    order = order_of(
        [
            hearing(("a", 1), ("d", 4), ("e", 5)),
            hearing(("a", 1), ("b", 2), ("c", 3), ("e", 5)),
        ]
    )

    assert order == ["a", "b", "c", "d", "e"]


def test_where_clients_contradict_each_other_the_first_hearing_counts():
    order = order_of([hearing(("a", 1), ("b", 2)), hearing(("b", 3), ("a", 4))])

    assert order == ["a", "b"]


@pytest.mark.parametrize("place", [1, 2])
def test_what_nobody_heard_is_told_in_time_anywhere_between_the_neighbours_of_its_sender(place):
    words = ["a.0", "b.0", "a.2"]
    notes = [Event("open"), *(Event("heard", word) for word in words)]
    notes.insert(1 + place, Event("missed"))

    tally = judge([Listener("client", "r0", notes)], {"r0": ["a.0", "a.1", "a.2", "b.0"]})

    assert found(tally) == {"lost": 1, "told": 1}


def test_a_client_is_open_after_its_last_opening_and_not_after_its_last_close():
    one = listener("0")

    assert one.is_open
    one.notes.append(Event("close", "1006"))
    assert not one.is_open


def test_a_client_is_greeted_once_it_has_known_where_it_is():
    one = listener("")

    assert not one.is_greeted
    one.notes += [Event("greeted"), Event("close", "1006")]
    assert one.is_greeted


def test_where_all_is_kept_a_loss_breaks_a_promise_even_if_it_is_told():
    assert broken_promises(FAULTS["cut"], judge_one("0 ! 2 3")) == ["lost 1", "told 1"]


def test_where_something_may_be_missed_only_silence_breaks_a_promise():
    assert broken_promises(FAULTS["beyond"], judge_one("0 ! 2 3")) == []
    assert broken_promises(FAULTS["beyond"], judge_one("0 2 3")) == ["split 1", "silent 1"]
