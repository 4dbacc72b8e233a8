"""Calls that other threads leave for the hub: one that raises costs none of those behind it
anything.
"""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.support.engine_house import House, in_thread, quiet
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

    def send() -> None:
        house.engine.say_goodbye([other], 5, "no such code")
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
