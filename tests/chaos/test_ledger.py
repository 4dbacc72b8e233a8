"""What `make chaos` counts: fed with a fault, its ledger names it, and nothing that a kill
excuses.
"""

from __future__ import annotations

import pytest

from chaos.ledger import SETTLE_S, Ledger, Note, Stream

PID, OTHER_PID = 100, 200
STREAM = Stream("sender", "path0")
HEARD_ALL = (0, 1, 2, 3)
CALLS = ("open", "close")


def judge(heard=HEARD_ALL, calls=CALLS, killed=(), ended_at_s=None, close_code=1001, broadcast=4):
    """Judge four messages to one receiver, sent one second apart from 0 s on, and all heard by
    their sender.
    """
    ledger = Ledger()
    ledger.opened("sender", ["path0"], PID)
    ledger.opened("receiver", ["path0"], OTHER_PID)
    for now_s in range(4):
        ledger.heard("sender", STREAM, ledger.sent("sender", "path0", now_s))
    for number in heard:
        ledger.heard("receiver", STREAM, number)
    if ended_at_s is not None:
        ledger.ended("receiver", ended_at_s, close_code)
    notes = [Note(PID, "sender", what) for what in (*CALLS, *["path0"] * broadcast)]
    notes += [Note(OTHER_PID, "receiver", what) for what in calls]
    return ledger.judge(notes, killed)


def kinds(tally):
    return {kind: len(places) for kind, places in tally.faults.items() if places}


def test_what_went_well_is_no_fault():
    tally = judge()

    assert (kinds(tally), tally.pairs, tally.opens) == ({}, 8, 2)


@pytest.mark.parametrize(
    ("heard", "fault"),
    [
        ((0, 1, 3), "lost"),
        ((1, 2, 3), "lost"),
        ((0, 1, 2), "lost"),
        ((0, 1, 1, 2, 3), "doubled"),
        ((0, 1, 2, 3, 0), "doubled"),
        ((0, 2, 1, 3), "out of order"),
    ],
)
def test_a_message_that_is_lost_doubled_or_out_of_order_is_a_fault(heard, fault):
    tally = judge(heard)

    assert kinds(tally) == {fault: 1}
    assert "sender to path0, for receiver in worker 200" in tally.faults[fault][0]


@pytest.mark.parametrize(
    ("calls", "fault"),
    [
        (("open",), "close missing"),
        (("open", "close", "close"), "close twice"),
        (("open", "open", "close"), "open twice"),
        (("close",), "open missing"),
    ],
)
def test_an_open_without_exactly_one_close_is_a_fault(calls, fault):
    tally = judge(calls=calls)

    assert kinds(tally) == {fault: 1}
    assert tally.faults[fault] == ["receiver in worker 200"]


def test_a_message_that_no_callback_saw_is_a_fault_though_nothing_tells_of_it():
    assert kinds(judge(heard=(), broadcast=0)) == {"lost": 4}


def test_a_line_cut_off_by_a_living_worker_is_a_fault():
    assert kinds(judge(ended_at_s=4.0, close_code=1006)) == {"cut off": 1}


def test_a_killed_worker_owes_no_close_and_no_last_words():
    tally = judge(
        heard=(0, 1), calls=("open",), killed={OTHER_PID}, ended_at_s=4.0, close_code=1006
    )

    assert kinds(tally) == {}


def test_a_killed_worker_owes_what_lies_between_two_messages_that_came():
    tally = judge(
        heard=(0, 2), calls=("open",), killed={OTHER_PID}, ended_at_s=4.0, close_code=1006
    )

    assert kinds(tally) == {"lost": 1}


def test_a_killed_worker_owes_what_was_sent_long_before():
    tally = judge(
        heard=(), calls=("open",), killed={OTHER_PID}, ended_at_s=SETTLE_S + 2, close_code=1006
    )

    assert kinds(tally) == {"lost": 2}


def test_messages_from_before_the_greeting_are_owed_to_nobody():
    ledger = Ledger()
    ledger.opened("sender", ["path0"], PID)
    numbers = [ledger.sent("sender", "path0", 0.0) for _ in range(3)]
    ledger.opened("late", ["path0"], PID)
    numbers.append(ledger.sent("sender", "path0", 1.0))

    for number in numbers:
        ledger.heard("sender", STREAM, number)
    ledger.heard("late", STREAM, numbers[-1])
    notes = [Note(PID, tag, what) for tag in ("sender", "late") for what in CALLS]

    assert kinds(ledger.judge(notes, ())) == {}
