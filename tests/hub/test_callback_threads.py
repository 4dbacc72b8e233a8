"""Callbacks in native threads: as many at once as allowed, each in a context of its own, and the
greenlet that waits for one leaves its hub to all others.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from tests.support.deadline import NEVER_S
from tina4_wsgi.hub.callback_threads import CallbackThreads
from tina4_wsgi.hub.mailbox import Mailbox

MOST = 3


@pytest.fixture
def threads() -> Iterator[CallbackThreads]:
    hub = gevent.get_hub()
    made = CallbackThreads(hub, Mailbox(hub), MOST)
    yield made
    made.close()


def run(threads: CallbackThreads, function: Any, *args: Any) -> Any:
    return gevent.spawn(threads.run, function, *args).get(timeout=NEVER_S)


def test_a_call_runs_in_a_native_thread_of_that_name(threads: CallbackThreads) -> None:
    name = run(threads, lambda: threading.current_thread().name)

    assert name == "tina4-callback-1"


def test_it_gives_the_result_to_who_waits(threads: CallbackThreads) -> None:
    assert run(threads, divmod, 7, 2) == (3, 1)


@pytest.mark.parametrize("error", [LookupError("gone"), SystemExit(3), KeyboardInterrupt()])
def test_what_it_raises_is_raised_where_somebody_waits(
    threads: CallbackThreads, error: BaseException
) -> None:
    def fail() -> None:
        raise error

    def wait() -> BaseException | None:
        try:
            threads.run(fail)
        except BaseException as exc:  # noqa: BLE001
            return exc
        return None

    assert gevent.spawn(wait).get(timeout=NEVER_S) is error


def test_the_hub_serves_others_meanwhile(threads: CallbackThreads) -> None:
    gate = threading.Event()
    waiting = gevent.spawn(threads.run, gate.wait, NEVER_S)
    gevent.sleep(0)

    gate.set()  # this greenlet runs, though that one waits

    assert waiting.get(timeout=NEVER_S) is True


def test_no_more_run_at_once_than_allowed_and_the_others_wait_their_turn(
    threads: CallbackThreads,
) -> None:
    gates = [threading.Event() for _ in range(MOST + 1)]
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        gates[number].wait(NEVER_S)

    waiting = [gevent.spawn(threads.run, work, number) for number in range(MOST + 1)]
    with gevent.Timeout(NEVER_S):
        while len(begun) < MOST:
            gevent.sleep(0.001)
    assert sorted(begun) == list(range(MOST))
    assert threads.count == MOST

    gates[0].set()
    waiting[0].get(timeout=NEVER_S)
    for gate in gates:
        gate.set()
    gevent.joinall(waiting, timeout=NEVER_S, raise_error=True)
    assert begun[-1] == MOST


def test_threads_are_used_again(threads: CallbackThreads) -> None:
    for _ in range(5):
        run(threads, int)

    assert threads.count == 2  # one of them to spare


def test_no_call_sees_what_another_one_put_into_a_context_variable(
    threads: CallbackThreads,
) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)

    run(threads, variable.set, 1)

    assert run(threads, variable.get) == 0


def test_who_stopped_waiting_is_not_woken_by_the_result(threads: CallbackThreads) -> None:
    gate, log = threading.Event(), []

    def wait() -> None:
        with gevent.Timeout(0.01, False):
            threads.run(gate.wait, NEVER_S)
        log.append("gave up")
        gevent.sleep(NEVER_S)
        log.append("woken")

    greenlet = gevent.spawn(wait)
    with gevent.Timeout(NEVER_S):
        while not log:
            gevent.sleep(0.001)
    gate.set()
    run(threads, int)
    run(threads, int)
    greenlet.kill()

    assert log == ["gave up"]


def test_a_system_without_threads_is_told_to_the_caller(
    threads: CallbackThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)

    with pytest.raises(RuntimeError, match="can't start new thread"):
        gevent.spawn(threads.run, int).get(timeout=NEVER_S)


def test_with_one_thread_a_system_that_gives_no_more_is_enough(
    threads: CallbackThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(threads, int)

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", start)
    both = [gevent.spawn(threads.run, int) for _ in range(2)]

    gevent.joinall(both, timeout=NEVER_S, raise_error=True)
    assert threads.count == 2


def test_beside_a_busy_one_there_is_a_thread_that_needs_no_start(
    threads: CallbackThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    busy = gevent.spawn(threads.run, gate.wait)
    gevent.sleep(0)

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", start)

    assert gevent.spawn(threads.run, int).get(timeout=NEVER_S) == 0
    gate.set()
    busy.get(timeout=NEVER_S)
