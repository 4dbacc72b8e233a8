"""The way out of a process that has several threads: one hub has the links, and the others go
through it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

import gevent
import pytest

from tests.backplane.bus.test_bus import HELLO, Ears, wait_until
from tina4_wsgi.backplane import relay as relay_module
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
    monkeypatch.setattr(isolation, "receivers", WeakSet())
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


# With a backplane that only writes down what it is told


class Core:
    """Stands for a backplane; `errors` are raised by its starts, one each."""

    def __init__(self, errors: list[Exception], told: list[Any]) -> None:
        self._errors, self._told = errors, told
        self.is_alone = False

    def start(self) -> None:
        self._told.append("start")
        if self._errors:
            raise self._errors.pop(0)

    def carry(self, *what: object) -> None:
        self._told.append(("carry", *what))

    def enter(self, *what: object) -> None:
        self._told.append(("enter", *what))

    def leave(self, *what: object) -> None:
        self._told.append(("leave", *what))

    def wait_until_heard(self, *what: object) -> bool:
        self._told.append(("wait", *what))
        return True

    def ask(self, question: Any, within_s: float) -> list[Any]:
        self._told.append(("ask", question, within_s))
        return [{"count": 7}]

    def retire(self, within_s: float) -> None:
        self._told.append(("retire", within_s))

    def status(self) -> str:
        return "status of the core"

    def close(self) -> None:
        self._told.append("close")


class HeardOf(Relay):
    """A relay whose backplane writes down what it is told."""

    def __init__(self, folder: Path, *errors: Exception, **more: Any) -> None:
        self.told: list[Any] = []
        self.outside: list[Any] = []
        self.errors = list(errors)
        settings = {"bus_dir": str(folder / "bus"), **more.pop("settings", {})}
        super().__init__(Config(**settings), str(folder), 0, Ears(), **more)

    def _new_core(self) -> Any:
        return Core(self.errors, self.told)

    def _publish(self, tell: Callable[[Any], object], level: int) -> None:
        tell(SimpleNamespace(carry=lambda *what: self.outside.append(what)))


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., HeardOf]]:
    monkeypatch.setattr(isolation, "is_on", False)
    made: list[HeardOf] = []

    def make(*errors: Exception, **more: Any) -> HeardOf:
        made.append(HeardOf(tmp_path, *errors, **more))
        return made[-1]

    yield make
    for relay in made:
        relay.close()


def test_it_starts_once_and_tells_its_backplane_at_once(make):
    relay = make()
    relay.start()
    relay.start()

    relay.carry(Kind.PATH, "/x", HELLO)
    relay.enter(Kind.PATH, "/x")
    relay.leave(Kind.ROOM, "r")
    assert relay.wait_until_heard(Kind.PATH, "/x") is True
    assert relay.ask({"a": 1}) == [{"count": 7}]
    relay.retire(3.0)

    assert relay.told == [
        "start",
        ("carry", Kind.PATH, "/x", HELLO),
        ("enter", Kind.PATH, "/x"),
        ("leave", Kind.ROOM, "r"),
        ("wait", Kind.PATH, "/x", 1.0),
        ("ask", {"a": 1}, 1.0),
        ("retire", 3.0),
    ]
    assert relay.status() == "status of the core"


def test_where_nobody_else_is_nothing_is_carried_or_asked(make):
    relay = make()
    relay.start()
    relay._core.is_alone = True

    relay.carry(Kind.PATH, "/x", HELLO)

    assert relay.ask({"a": 1}) == []
    assert (relay.told, relay.outside) == (["start"], [])


def test_a_closed_relay_closes_its_backplane_once(make):
    relay = make()
    relay.start()

    relay.close()
    relay.close()

    assert relay.told == ["start", "close"]
    assert relay.status().kind == "local"


def test_another_thread_closes_it_through_its_hub(make):
    relay = make()
    relay.start()

    in_thread(relay.close)

    wait_until(lambda: relay.told == ["start", "close"], "the end")


def test_what_a_greenlet_says_first_starts_it(make):
    relay = make()

    gevent.spawn(relay.carry, Kind.PATH, "/x", HELLO).get(timeout=WAIT_S)

    assert relay.told == ["start", ("carry", Kind.PATH, "/x", HELLO)]
    assert relay.outside == []


def test_what_is_said_outside_of_any_greenlet_leaves_from_outside(make):
    relay = make()

    relay.carry(Kind.PATH, "/x", HELLO)

    assert (relay.told, relay.outside) == ([], [(Kind.PATH, "/x", HELLO)])


def test_in_a_test_client_nothing_leaves(make, monkeypatch):
    relay, outsider = make(), make(is_outsider=True)
    monkeypatch.setattr(isolation, "is_on", True)

    for one in (relay, outsider):
        one.start()
        one.carry(Kind.PATH, "/x", HELLO)
        gevent.spawn(one.carry, Kind.PATH, "/x", HELLO).get(timeout=WAIT_S)

        assert (one.told, one.outside) == ([], [])


def test_a_forked_child_says_it_from_a_native_thread_until_it_serves(make):
    relay = make(is_outsider=True)

    gevent.spawn(relay.carry, Kind.PATH, "/x", HELLO).get(timeout=WAIT_S)
    assert relay.told == []
    assert [what[:3] for what in relay.outside] == [(Kind.PATH, "/x", HELLO)]
    relay.start()
    relay.carry(Kind.PATH, "/x", HELLO)

    assert relay.told == ["start", ("carry", Kind.PATH, "/x", HELLO)]
    assert len(relay.outside) == 1


# A backplane that can't start


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [f"{record.levelname} {record.getMessage()}" for record in caplog.records]


@pytest.mark.parametrize(
    ("error", "told"), [(OSError("disk full"), "disk full"), (OSError(), "OSError")]
)
def test_one_that_can_not_start_is_told_once_and_nothing_is_carried(make, caplog, error, told):
    relay = make(error)

    relay.start()
    relay.start()
    relay.carry(Kind.PATH, "/x", HELLO)

    assert messages(caplog) == [f"ERROR broadcasts stay in this process: {told}"]
    assert (relay.told, relay.outside) == (["start", "close"], [])
    status = relay.status()
    assert (status.kind, status.is_up, status.error) == ("local", False, told)
    assert relay.ask({"a": 1}) == []
    assert relay.wait_until_heard(Kind.PATH, "/x") is False


def retry(relay: HeardOf) -> float:
    """Try again now; gives the pause that it would have waited."""
    pause_s = relay._retry_s
    relay._try_again()
    return pause_s


def test_it_tries_again_and_again_with_growing_pauses(make, caplog):
    relay = make(*[OSError("disk full")] * 6)
    relay.start()

    pauses_s = [retry(relay) for _ in range(5)]
    assert pauses_s == [2.0, 4.0, 8.0, 10.0, 10.0]
    assert len(messages(caplog)) == 1
    retry(relay)

    assert messages(caplog)[1:] == ["WARNING broadcasts reach the other processes now"]
    assert relay.told == ["start", "close"] * 6 + ["start"]
    assert relay.status() == "status of the core"
    retry(relay)
    assert relay.told[-1] == "start"


def test_another_reason_is_told_too(make, caplog):
    relay = make(OSError("disk full"), OSError("no such folder"))
    relay.start()

    retry(relay)

    assert messages(caplog)[1:] == ["ERROR broadcasts stay in this process: no such folder"]


def test_a_timer_of_the_hub_tries_again(make, monkeypatch):
    monkeypatch.setattr(relay_module, "_FIRST_RETRY_S", 0.01)
    relay = make(OSError("disk full"))

    relay.start()

    wait_until(lambda: relay._core is not None, "another try")


def test_after_its_end_it_tries_no_more(make):
    relay = make(OSError("disk full"))
    relay.start()

    relay.close()
    relay._try_again()

    assert relay.told == ["start", "close"]
    assert relay._retry is None


def test_with_redis_the_settings_are_at_fault_and_it_tries_no_more(make):
    relay = make(ValueError("bad URL"), settings={"backplane": "redis"})

    relay.start()

    assert relay._retry is None
    assert relay.status().kind == "redis"


def test_a_hub_that_stands_still_is_asked_for_a_while_alone(make, monkeypatch):
    monkeypatch.setattr(relay_module, "_ANSWER_S", 0.05)
    monkeypatch.setattr(relay_module, "_SLACK_S", 0.05)
    relay = make()
    relay.start()
    answers: list[Any] = []

    thread = threading.Thread(target=lambda: answers.append(relay.ask({"a": 1})))
    thread.start()
    thread.join()  # the hub of this thread doesn't turn meanwhile

    assert answers == [[]]
    gevent.sleep(0)
