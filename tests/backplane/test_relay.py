"""The way out of a process that has several threads: one hub has the links, and the others go
through it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from tests.backplane.bus.test_bus import HELLO, Ears, wait_until
from tina4_wsgi.backplane.bus.bus import LocalBus
from tina4_wsgi.backplane.bus.directory import BusDirectory
from tina4_wsgi.backplane.envelope import Kind
from tina4_wsgi.backplane.isolation import isolation
from tina4_wsgi.backplane.relay import Relay
from tina4_wsgi.config import Config

WAIT_S = 5.0


@pytest.fixture
def relay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    monkeypatch.setattr(
        isolation, "is_on", False
    )  # a TestClient of an earlier test in this process turned it on
    relay = Relay(Config(bus_dir=str(tmp_path / "bus")), str(tmp_path), 0, Ears())
    yield relay
    relay.close()


@pytest.fixture
def sibling(tmp_path: Path) -> Iterator[LocalBus]:
    ears = Ears()
    bus = LocalBus(gevent.get_hub(), BusDirectory(str(tmp_path / "bus")), 0, ears, 1 << 20)
    bus.start()
    bus.ears = ears  # type: ignore[attr-defined]
    yield bus
    bus.close()


def in_thread(function: Callable[[], object]) -> Any:
    return gevent.get_hub().threadpool.apply(function)


def test_what_a_thread_says_goes_through_the_hub_that_has_the_links(relay, sibling):
    relay.start()
    wait_until(lambda: not sibling.is_alone, "the link")

    in_thread(lambda: [relay.carry(Kind.PATH, "/x", HELLO) for _ in range(3)])

    wait_until(lambda: sibling.ears.heard == [(Kind.PATH, "/x", HELLO)] * 3, "the messages")


def test_a_thread_may_tell_who_is_here_and_ask_and_retire(relay, sibling):
    relay.start()
    wait_until(lambda: not sibling.is_alone, "the link")

    def use() -> Any:
        relay.enter(Kind.PATH, "/x")
        relay.leave(Kind.PATH, "/x")
        assert not relay.wait_until_heard(Kind.PATH, "/x")
        answers = relay.ask({"a": 1})
        relay.retire(WAIT_S)
        return answers

    assert in_thread(use) == [{"echo": {"a": 1}}]
    wait_until(lambda: sibling.is_alone, "the goodbye")
    in_thread(relay.close)


def test_several_threads_that_begin_at_once_begin_one(relay):
    ready = threading.Barrier(4)
    cores: list[object] = []

    def begin() -> None:
        ready.wait(WAIT_S)
        relay.start()
        cores.append(relay._core)
        done.wait(WAIT_S)
        if relay._hub is gevent.get_hub():
            relay.close()
        gevent.get_hub().destroy()

    done = threading.Event()
    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(cores) < 4:
        gevent.sleep(0.002)
    done.set()
    for thread in threads:
        thread.join()

    assert len({id(core) for core in cores}) == 1
    assert cores[0] is not None


def test_when_the_thread_that_had_the_links_has_ended_another_one_makes_its_own(relay, sibling):
    def begin_and_end() -> None:
        relay.start()
        relay._core.close()
        gevent.get_hub().destroy()

    thread = threading.Thread(target=begin_and_end)
    thread.start()
    in_thread(thread.join)
    assert relay._hub.loop is None
    relay.retire(WAIT_S)  # nobody is there to do it

    def say() -> None:
        relay.carry(Kind.PATH, "/x", HELLO)
        wait_until(lambda: not sibling.is_alone, "the link")
        relay.carry(Kind.PATH, "/x", HELLO)

    gevent.spawn(say).get(timeout=WAIT_S)

    wait_until(lambda: sibling.ears.heard, "the message")
    assert relay._hub is gevent.get_hub()


def test_who_is_told_before_anything_has_begun_tells_nobody(relay):
    relay.enter(Kind.PATH, "/x")
    relay.leave(Kind.PATH, "/x")
    relay.retire(WAIT_S)

    assert relay.ask({"a": 1}) == []
    assert relay.status().kind == "local"
