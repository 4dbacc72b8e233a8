"""Calls that other threads leave for the hub: one that raises costs none of those behind it
anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.support.engine_house import House, in_thread, quiet, wait_until
from tina4_wsgi.hub.mailbox import Mailbox


def fail(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    "error",
    [ValueError("bad"), SystemExit(3), gevent.Timeout(1), KeyError("x")],
    ids=lambda one: type(one).__name__,
)
def test_a_posted_call_that_raises_is_logged_and_those_behind_it_are_run(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    mailbox, done, all_done = Mailbox(gevent.get_hub()), [], Event()

    def post() -> None:
        mailbox.post(done.append, 1)
        mailbox.post(fail, error)
        mailbox.post(done.append, 2)
        mailbox.post(all_done.set)

    in_thread(post)
    all_done.wait()
    gevent.sleep(0)

    assert done == [1, 2]
    assert [record.getMessage() for record in caplog.records if record.exc_info] == [
        "a call from another thread failed"
    ]


@pytest.mark.parametrize("way", ["call", "call_waiting"])
def test_the_thread_that_waits_gets_the_exception(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    mailbox = Mailbox(gevent.get_hub())

    with pytest.raises(LookupError, match="for the thread"):
        in_thread(lambda: getattr(mailbox, way)(fail, LookupError("for the thread")))

    assert caplog.records == []


def test_a_close_code_that_may_not_travel_costs_no_thread_its_send(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    client, connection = house.connect(quiet)
    _, other = house.connect(quiet)
    engine = house.engine  # of this thread

    def send() -> None:
        engine.say_goodbye([other], 5, "no such code")
        connection.send("behind it")

    in_thread(send)

    assert client.read_text() == "behind it"


def test_a_call_that_waits_leaves_the_hub_to_others() -> None:
    mailbox, gate, pool = Mailbox(gevent.get_hub()), Event(), gevent.get_hub().threadpool

    def wait() -> str:
        gate.wait()
        return "waited"

    def gave() -> Any:
        return mailbox.call_waiting(wait)

    first = pool.spawn(gave)
    in_thread(lambda: mailbox.call(gate.set))

    assert first.get() == "waited"


class Loop:
    """Stands for a hub and its loop, which runs what was posted when the test says so."""

    def __init__(self) -> None:
        self.loop = self
        self.woken: list[Callable[[], object]] = []

    def run_callback_threadsafe(self, function: Callable[[], object]) -> None:
        self.woken.append(function)

    def turn(self) -> None:
        woken, self.woken = self.woken, []
        for one in woken:
            one()


def test_many_calls_wake_the_hub_once_and_run_in_order() -> None:
    loop, done = Loop(), []
    mailbox = Mailbox(loop)

    for number in range(3):
        mailbox.post(done.append, number)
    assert (len(loop.woken), done) == (1, [])
    loop.turn()
    assert done == [0, 1, 2]

    mailbox.post(done.append, 3)
    assert len(loop.woken) == 1
    loop.turn()
    assert (done, loop.woken) == ([0, 1, 2, 3], [])


def test_what_a_call_posts_itself_runs_in_the_next_turn() -> None:
    loop, done = Loop(), []
    mailbox = Mailbox(loop)
    mailbox.post(mailbox.post, done.append, "later")

    loop.turn()
    assert done == []
    loop.turn()

    assert done == ["later"]


def test_a_thread_that_is_far_ahead_of_the_hub_waits_for_it() -> None:
    loop, done = Loop(), []
    mailbox = Mailbox(loop)

    def post() -> None:
        for number in range(1_026):
            mailbox.post(done.append, number)

    thread = gevent.get_hub().threadpool.spawn(post)
    wait_until(lambda: len(mailbox._posted) == 1_025)
    gevent.sleep(0.05)
    assert not thread.ready()
    assert len(mailbox._posted) == 1_025
    loop.turn()
    thread.get(timeout=5)
    loop.turn()

    assert done == list(range(1_026))


def test_a_thread_that_posts_more_than_a_mebibyte_waits_for_the_hub_too() -> None:
    loop, done = Loop(), []
    mailbox = Mailbox(loop)

    def post() -> None:
        for number in range(4):
            mailbox.post(done.append, number, size_bytes=400_000)

    thread = gevent.get_hub().threadpool.spawn(post)
    wait_until(lambda: len(mailbox._posted) == 3)
    gevent.sleep(0.05)
    assert not thread.ready()
    assert len(mailbox._posted) == 3
    loop.turn()
    thread.get(timeout=5)
    loop.turn()

    assert done == list(range(4))


@pytest.mark.parametrize("way", ["call", "call_waiting"])
def test_the_thread_that_waits_gets_the_result(way: str) -> None:
    mailbox, hub = Mailbox(gevent.get_hub()), gevent.get_hub()

    got = hub.threadpool.apply(lambda: getattr(mailbox, way)(lambda a, b: (a, b), 1, 2))

    assert got == (1, 2)


def test_a_call_that_was_begun_may_be_waited_for_with_a_limit() -> None:
    loop = Loop()
    call = Mailbox(loop).begin(lambda: "result")

    assert not call.is_done
    with pytest.raises(TimeoutError, match=r"not done within 0\.01 s"):
        call.wait(0.01)
    call.work()

    assert call.is_done
    assert [call.wait(), call.wait(0.0)] == ["result", "result"]
