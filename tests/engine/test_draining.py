"""A drain tells everybody at a moment of its own and when to come back, and waits for nobody in
vain.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.support.deadline import NEVER_S
from tests.support.engine_house import House
from tests.support.raw import CLOSE, RawClient
from tina4_wsgi.engine import draining
from tina4_wsgi.engine.draining import Draining, going_away

HINT = re.compile(r"going away; retry in (\d{1,6}) ms")


def echo(connection: Any, event: str, data: str) -> None:
    if event == "message":
        connection.send(data)


def goodbye(client: RawClient) -> str:
    """Read the close frame, answer it, and give its reason."""
    frame = client.read_frame()
    assert frame.opcode == CLOSE
    assert frame.close_code == 1001
    client.send_close(1001)
    return frame.payload[2:].decode()


def is_told(connection: Any) -> bool:
    return bool(connection.closed)


def test_each_client_gets_a_time_of_its_own_to_come_back_at(house: House) -> None:
    clients = [house.connect(echo)[0] for _ in range(10)]
    draining = gevent.spawn(house.engine.drain, 5.0, 0.0)

    hints = [HINT.fullmatch(goodbye(client)) for client in clients]

    assert draining.get()
    assert all(hint is not None and 250 <= int(hint[1]) <= 1_000 for hint in hints)
    assert len({hint[1] for hint in hints if hint}) > 5


def test_the_time_to_come_back_grows_with_the_clients_up_to_the_setting() -> None:
    waits_ms = [int(re.findall(r"\d+", going_away(15.0))[0]) for _ in range(200)]

    assert 10_000 < max(waits_ms) <= 15_000
    assert min(waits_ms) >= 250


def test_without_a_retry_spread_there_is_no_hint(make_house: Any) -> None:
    house = make_house(retry_spread_s=0)
    client, _ = house.connect(echo)
    gevent.spawn(house.engine.drain, 5.0, 0.0)

    assert goodbye(client) == "going away"


def test_clients_are_told_in_several_batches(house: House) -> None:
    connections = [house.connect(echo)[1] for _ in range(30)]
    draining = gevent.spawn(house.engine.drain, 5.0, 5.0)
    gevent.sleep(0)

    seen = set()
    while not all(map(is_told, connections)):
        seen.add(sum(map(is_told, connections)))
        gevent.sleep(0.01)

    assert len(seen) > 2
    for client in house.clients:
        goodbye(client)
    assert draining.get()


def test_without_a_spread_all_are_told_at_once(house: House) -> None:
    connections = [house.connect(echo)[1] for _ in range(30)]
    gevent.sleep(0)  # "open" is done

    gevent.spawn(house.engine.drain, 5.0, 0.0)
    gevent.sleep(0)

    assert all(map(is_told, connections))


def test_a_client_whose_turn_has_not_come_is_served(house: House) -> None:
    pairs = [house.connect(echo) for _ in range(100)]
    draining = gevent.spawn(house.engine.drain, 5.0, 5.0)
    gevent.sleep(0)

    client = next(client for client, connection in pairs if not connection.closed)
    client.send_text("still here?")

    assert client.read_text() == "still here?"
    draining.kill()


def test_a_drain_ends_when_everybody_has_left_by_themselves(house: House) -> None:
    for _ in range(100):
        house.connect(echo)
    draining = gevent.spawn(house.engine.drain, 2 * NEVER_S, NEVER_S)
    gevent.sleep(0)

    for client in house.clients:
        client.close()

    assert draining.get()  # which does not wait for the times it was given


def test_a_connection_that_is_taken_on_meanwhile_is_told_too(house: House) -> None:
    release = Event()

    def hold(connection: Any, event: str, data: str) -> None:
        if event == "close":
            release.wait()

    first, _ = house.connect(hold)
    draining = gevent.spawn(house.engine.drain, 5.0, 0.0)
    goodbye(first)
    late, _ = house.connect(echo)

    assert HINT.fullmatch(goodbye(late))
    release.set()
    assert draining.get()


# By a clock of their own, which passes while somebody sleeps


class Clock:
    """Time for the module: a sleep takes none, and says when it was."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.naps_s: list[float] = []
        self.at: dict[float, Callable[[], object]] = {}

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, for_s: float) -> None:
        self.naps_s.append(for_s)
        self.now_s += for_s
        for moment_s in [one for one in self.at if one <= self.now_s]:
            self.at.pop(moment_s)()


class Guest:
    """Stands for a connection; `over_at` names what ends it: "told", "last call" or "cut"."""

    def __init__(self, clock: Clock, over_at: str = "told") -> None:
        self._clock, self._over_at = clock, over_at
        self.told: list[tuple[float, int, str, bool]] = []
        self.cut_at_s: list[float] = []
        self.closed = self.is_over = False
        self.errors: list[BaseException] = []

    def dismiss(self, code: int, reason: str, is_last_call: bool) -> None:
        self.told.append((self._clock.now_s, code, reason, is_last_call))
        self.is_over |= self._over_at == ("last call" if is_last_call else "told")
        self.closed = True

    def cut(self) -> None:
        self.cut_at_s.append(self._clock.now_s)
        self.is_over |= self._over_at == "cut"

    def failed(self, error: BaseException) -> None:
        self.errors.append(error)
        self.is_over = True


class Pool:
    """Stands for the dispatcher."""

    def __init__(self) -> None:
        self.lifted = 0

    def lift_bound(self) -> None:
        self.lifted += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(draining, "time", clock)
    monkeypatch.setattr(draining, "gevent", clock)
    monkeypatch.setattr(draining, "random", random.Random(7))
    return clock


def drain(
    guests: list[Guest], timeout_s: float, spread_s: float = 0.0, retry_s: float = 15.0
) -> tuple[bool, Pool]:
    pool = Pool()
    is_done = Draining(guests, pool, spread_s, retry_s).run(timeout_s)  # type: ignore[arg-type]
    return is_done, pool


def test_who_is_told_in_time_is_told_once_and_costs_no_wait(clock: Clock) -> None:
    guests = [Guest(clock) for _ in range(3)]

    is_done, pool = drain(guests, 10.0)

    assert (is_done, pool.lifted, clock.naps_s) == (True, 0, [])
    assert [[(at_s, code, last) for at_s, code, _, last in one.told] for one in guests] == [
        [(0.0, 1001, False)]
    ] * 3
    assert [one.cut_at_s for one in guests] == [[0.0]] * 3


@pytest.mark.parametrize(
    ("count", "spread_s", "timeout_s", "last_s"),
    [
        (20, 5.0, 20.0, 0.2),  # a hundred a second, however few they are
        (1_000, 5.0, 20.0, 5.0),
        (1_000, 5.0, 4.0, 2.0),  # half of the time is left for answers
    ],
)
def test_the_close_frames_are_spread_over_their_time(
    clock: Clock, count: int, spread_s: float, timeout_s: float, last_s: float
) -> None:
    guests = [Guest(clock) for _ in range(count)]

    assert drain(guests, timeout_s, spread_s)[0]

    told_s = sorted(at_s for one in guests for at_s, *_ in one.told)
    assert len(told_s) == count
    assert 0.8 * last_s < told_s[-1] <= last_s + 0.05
    assert told_s[count // 2] == pytest.approx(last_s / 2, rel=0.3, abs=0.05)
    assert min(clock.naps_s) >= 0.05


@pytest.mark.parametrize(("count", "spread_s"), [(20, 0.2), (150, 1.5), (501, 5.0)])
def test_the_last_close_frame_leaves_at_the_end_of_the_spread(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, count: int, spread_s: float
) -> None:
    monkeypatch.setattr(draining, "random", Latest())
    guests = [Guest(clock) for _ in range(count)]

    drain(guests, 20.0, 5.0)

    assert [one.told[0][0] for one in guests] == [pytest.approx(spread_s, abs=1e-9)] * count


def test_those_who_came_together_are_not_told_together(clock: Clock) -> None:
    guests = [Guest(clock) for _ in range(300)]

    drain(guests, 20.0, 5.0)

    told_s = [one.told[0][0] for one in guests]
    assert told_s != sorted(told_s)


def test_who_has_left_before_its_turn_is_not_waited_for(clock: Clock) -> None:
    guests = [Guest(clock) for _ in range(10)]
    for one in guests:
        one.closed = one.is_over = True

    assert drain(guests, 20.0, 5.0)[0]
    assert clock.naps_s == []


def test_whoever_has_left_keeps_nobody_from_a_moment_of_its_own(clock: Clock) -> None:
    guests = [Guest(clock) for _ in range(100)]
    for one in guests[::2]:
        one.closed = one.is_over = True

    assert drain(guests, 20.0, 5.0)[0]

    told_s = {one.told[0][0] for one in guests[1::2]}
    assert len(told_s) > 10
    assert 0.8 < max(told_s) <= 1.05


def test_without_any_time_nobody_is_waited_for(clock: Clock) -> None:
    guest = Guest(clock, "never")

    is_done, pool = drain([guest], 0.0)

    assert (is_done, pool.lifted, clock.naps_s) == (False, 1, [])
    assert [last for *_, last in guest.told] == [False, True]
    assert guest.cut_at_s == [0.0]


@pytest.mark.parametrize(("timeout_s", "called_s"), [(8.0, 7.0), (2.0, 1.5)])
def test_whose_callback_still_runs_gets_a_last_call_before_the_end(
    clock: Clock, timeout_s: float, called_s: float
) -> None:
    guest = Guest(clock, "last call")

    is_done, pool = drain([guest], timeout_s)

    assert (is_done, pool.lifted) == (True, 1)
    assert [(last, code) for _, code, _, last in guest.told] == [(False, 1001), (True, 1001)]
    assert guest.told[1][0] == pytest.approx(called_s, abs=0.021)
    assert set(clock.naps_s) == {0.02}


def test_a_newcomer_behind_the_last_call_is_told_as_such(clock: Clock) -> None:
    guests, newcomer = [Guest(clock, "cut")], Guest(clock)
    newcomer._over_at = "last call"
    clock.at[7.5] = lambda: guests.append(newcomer)

    drain(guests, 8.0)

    assert [(round(at_s, 1), last) for at_s, _, _, last in newcomer.told] == [(7.5, True)]


def test_who_ends_between_the_last_call_and_the_end_ended_in_time(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    guest = Guest(clock, "never")
    clock.at[7.8] = lambda: setattr(guest, "is_over", True)

    assert drain([guest], 8.0)[0]
    assert caplog.records == []


@pytest.mark.parametrize(("timeout_s", "ends_s"), [(8.0, 9.0), (0.5, 1.0)])
def test_who_never_ends_is_cut_off_and_waited_for_a_second_more(
    clock: Clock, caplog: pytest.LogCaptureFixture, timeout_s: float, ends_s: float
) -> None:
    guest = Guest(clock, "never")

    is_done, _ = drain([guest, Guest(clock)], timeout_s)

    assert not is_done
    assert guest.cut_at_s == [pytest.approx(timeout_s, abs=0.021)]
    assert clock.now_s == pytest.approx(ends_s, abs=0.045)
    assert [record.getMessage() for record in caplog.records] == [
        f"drain: 2 connections cut off after {timeout_s} s"
    ]


def test_who_ends_when_it_is_cut_off_did_not_end_in_time(clock: Clock) -> None:
    assert not drain([Guest(clock, "cut")], 8.0)[0]
    assert clock.now_s == pytest.approx(8.0, abs=0.021)


def test_an_error_of_ours_keeps_nobody_from_its_close_frame(clock: Clock) -> None:
    class Bad(Guest):
        def dismiss(self, code: int, reason: str, is_last_call: bool) -> None:
            raise LookupError("a mistake of ours")

    guests = [Guest(clock), Bad(clock), Guest(clock)]

    assert drain(guests, 8.0)[0]
    assert [len(one.told) for one in guests] == [1, 0, 1]
    assert [str(one) for one in guests[1].errors] == ["a mistake of ours"]


class Latest:
    """A generator of random numbers that gives the largest; `low` those that it was asked for."""

    def __init__(self) -> None:
        self.low: list[float] = []

    def shuffle(self, members: list[Any]) -> None:
        """Leave them as they are."""

    def uniform(self, low: float, high: float) -> float:
        self.low.append(low)
        return high


@pytest.mark.parametrize(
    ("count", "retry_s", "hint_ms", "least_s"),
    [
        (1, 15.0, 1_000, 0.25),
        (500, 15.0, 1_000, 0.25),
        (501, 15.0, 1_002, 0.25),
        (2_000, 15.0, 4_000, 0.25),
        (10_000, 15.0, 15_000, 0.25),
        (1, 0.4, 400, 0.1),
        (10_000, 0.4, 400, 0.1),
    ],
)
def test_five_hundred_a_second_are_asked_to_return_and_no_sooner_than_they_may(
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    retry_s: float,
    hint_ms: int,
    least_s: float,
) -> None:
    latest = Latest()
    monkeypatch.setattr(draining, "random", latest)
    guests = [Guest(clock) for _ in range(count)]

    drain(guests, 8.0, 0.0, retry_s)

    assert guests[0].told[0][2] == f"going away; retry in {hint_ms} ms"
    assert latest.low[-1] == pytest.approx(least_s)
