"""What is due on a connection, said by a part without a socket and without a clock."""

from __future__ import annotations

from typing import Any

import pytest

from tina4_wsgi.config import Config
from tina4_wsgi.websocket.deadlines import NEVER, Deadlines, Due

BEGAN_S = 1_000.0


def deadlines_of(has_auth: bool = False, **settings: Any) -> Deadlines:
    settings = {"ping_interval_s": 0, "idle_timeout_s": 0, **settings}
    return Deadlines(Config(**settings), BEGAN_S, has_auth)


def pinging() -> Deadlines:
    """One whose first ping was sent at 1030, and whose pong is due at 1050."""
    deadlines = deadlines_of(ping_interval_s=30, pong_timeout_s=20)
    assert deadlines.look(BEGAN_S + 30, heard=True, stalled_since_s=None) is Due.PING
    return deadlines


def test_without_a_limit_nothing_is_ever_due():
    deadlines = deadlines_of()

    assert deadlines.due_s == NEVER
    assert deadlines.look(BEGAN_S + 1e9, heard=False, stalled_since_s=None) is None
    assert deadlines.due_s == NEVER


def test_the_first_ping_comes_in_the_second_half_of_the_interval():
    dues = [deadlines_of(ping_interval_s=30).due_s for _ in range(50)]

    assert BEGAN_S + 15 <= min(dues) < max(dues) <= BEGAN_S + 30


def test_a_ping_is_due_once_in_an_interval():
    deadlines = pinging()

    assert deadlines.look(BEGAN_S + 30, heard=False, stalled_since_s=None) is None
    assert deadlines.due_s == BEGAN_S + 50


def test_a_peer_that_answers_no_ping_is_silent():
    deadlines = pinging()

    assert deadlines.look(BEGAN_S + 49.9, heard=False, stalled_since_s=None) is None
    assert deadlines.look(BEGAN_S + 50, heard=False, stalled_since_s=None) is Due.SILENT


@pytest.mark.parametrize("heard", [True, None], ids=["heard", "not-read"])
def test_a_peer_that_was_heard_or_is_not_read_is_not_silent(heard):
    deadlines = pinging()

    assert deadlines.look(BEGAN_S + 50, heard, stalled_since_s=None) is None
    assert deadlines.due_s == BEGAN_S + 60


@pytest.mark.parametrize(
    ("heard", "stalled_since_s"),
    [(None, None), (True, BEGAN_S + 30)],
    ids=["not-read", "stalled"],
)
def test_a_peer_that_could_not_answer_is_not_pinged(heard, stalled_since_s):
    deadlines = deadlines_of(ping_interval_s=30, send_timeout_s=10)

    assert deadlines.look(BEGAN_S + 30, heard, stalled_since_s) is None
    assert deadlines.look(BEGAN_S + 30, heard=False, stalled_since_s=None) is None
    assert deadlines.due_s == BEGAN_S + 60


def test_a_peer_that_takes_nothing_for_the_send_timeout_is_slow():
    deadlines = deadlines_of(send_timeout_s=10)

    deadlines.watch_stall(BEGAN_S + 1)
    assert deadlines.due_s == BEGAN_S + 11
    assert deadlines.look(BEGAN_S + 11, heard=True, stalled_since_s=BEGAN_S + 5) is None
    assert deadlines.due_s == BEGAN_S + 15
    assert deadlines.look(BEGAN_S + 15, heard=True, stalled_since_s=BEGAN_S + 5) is Due.SLOW


def test_a_stall_brings_no_look_forward_that_comes_sooner():
    deadlines = deadlines_of(send_timeout_s=10, idle_timeout_s=5)

    deadlines.watch_stall(BEGAN_S + 1)

    assert deadlines.due_s == BEGAN_S + 5


def test_without_messages_a_connection_is_idle():
    deadlines = deadlines_of(idle_timeout_s=60)

    assert deadlines.due_s == BEGAN_S + 60
    deadlines.active_at_s = BEGAN_S + 10
    assert deadlines.look(BEGAN_S + 60, heard=False, stalled_since_s=None) is None
    assert deadlines.due_s == BEGAN_S + 70
    assert deadlines.look(BEGAN_S + 70, heard=False, stalled_since_s=None) is Due.IDLE


def test_while_a_callback_works_a_connection_is_not_idle():
    deadlines = deadlines_of(idle_timeout_s=60)

    assert deadlines.look(BEGAN_S + 60, False, None, is_busy=True) is None
    assert deadlines.due_s == BEGAN_S + 120
    assert deadlines.look(BEGAN_S + 120, False, None) is Due.IDLE


def test_a_recheck_is_due_only_where_a_route_has_auth():
    assert not deadlines_of(reauth_every=10).has_rechecks
    assert not deadlines_of(has_auth=True, reauth_every=0).has_rechecks

    deadlines = deadlines_of(has_auth=True, reauth_every=10)

    assert deadlines.has_rechecks
    assert BEGAN_S + 5 <= deadlines.due_s <= BEGAN_S + 10


def test_a_recheck_is_due_every_time_the_interval_is_over():
    deadlines = deadlines_of(has_auth=True, reauth_every=10)

    assert deadlines.look(BEGAN_S + 10, True, None) is Due.RECHECK
    assert deadlines.look(BEGAN_S + 10, True, None) is None
    assert deadlines.due_s == deadlines.recheck_at_s == BEGAN_S + 20


def test_a_login_is_stale_when_three_rechecks_have_failed():
    deadlines = deadlines_of(has_auth=True, reauth_every=10)
    found = [deadlines.look(BEGAN_S + now_s, True, None) for now_s in (10, 20, 30)]

    assert found == [Due.RECHECK, Due.RECHECK, Due.STALE]
    assert deadlines.is_login_stale(BEGAN_S + 30)


def test_an_answer_makes_a_login_last_from_then_on():
    deadlines = deadlines_of(has_auth=True, reauth_every=10)

    deadlines.renew_login(BEGAN_S + 25)

    assert not deadlines.is_login_stale(BEGAN_S + 54.9)
    assert deadlines.is_login_stale(BEGAN_S + 55)


def test_a_login_lasts_five_seconds_at_least_and_a_recheck_a_third_of_that():
    deadlines = deadlines_of(has_auth=True, reauth_every=1)

    assert not deadlines.is_login_stale(BEGAN_S + 4.9)
    assert deadlines.is_login_stale(BEGAN_S + 5)
    assert deadlines.recheck_limit_s == pytest.approx(5 / 3)


def test_a_recheck_is_never_planned_behind_the_end_of_the_login():
    deadlines = deadlines_of(has_auth=True, reauth_every=10)

    deadlines.schedule_recheck(BEGAN_S + 25)

    assert deadlines.recheck_at_s == BEGAN_S + 30


def test_what_is_due_at_once_comes_one_by_one():
    deadlines = deadlines_of(has_auth=True, ping_interval_s=10, reauth_every=10)

    found = [deadlines.look(BEGAN_S + 10, True, None) for _ in range(3)]

    assert found == [Due.PING, Due.RECHECK, None]


def test_a_stall_is_told_before_silence_and_silence_before_idleness():
    deadlines = deadlines_of(
        ping_interval_s=30, pong_timeout_s=20, send_timeout_s=10, idle_timeout_s=40
    )
    assert deadlines.look(BEGAN_S + 30, True, None) is Due.PING

    assert deadlines.look(BEGAN_S + 60, False, BEGAN_S + 50) is Due.SLOW
    assert deadlines.look(BEGAN_S + 60, False, None) is Due.SILENT
    assert deadlines.look(BEGAN_S + 60, True, None) is Due.IDLE


def test_patience_is_over_once():
    deadlines = deadlines_of()

    deadlines.be_patient(BEGAN_S + 0.5)
    assert deadlines.due_s == BEGAN_S + 0.5
    assert not deadlines.take_patience_over(BEGAN_S + 0.4)
    assert deadlines.take_patience_over(BEGAN_S + 0.5)
    assert not deadlines.take_patience_over(BEGAN_S + 0.5)


def test_at_the_end_only_the_close_timeout_counts():
    deadlines = deadlines_of(ping_interval_s=1, close_timeout_s=7)

    deadlines.end_within(BEGAN_S + 0.1)
    assert deadlines.due_s == BEGAN_S + 7.1
    deadlines.rest()
    assert deadlines.due_s == NEVER
