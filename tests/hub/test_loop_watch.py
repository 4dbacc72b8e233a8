"""Who holds the loop is named in the log, with the stack; who doesn't is not, and nothing is left
of the watch.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from tests.support import servers
from tests.support.engine_house import House
from tests.support.raw import RawClient
from tests.support.site import Site, run_site
from tina4_wsgi.hub import loop_watch
from tina4_wsgi.hub.loop_watch import LoopWatch

APPS = Path(__file__).with_name("apps")
LIMIT_S = 0.1
WAIT_S = 10.0
LOGGER = "tina4_wsgi.loop"


others: set[int] = set()
"""The watches of living apps of other tests, which see this module's tests hold their loop."""


@pytest.fixture(autouse=True)
def know_the_others() -> None:
    others.clear()
    others.update(watches())


def held(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == LOGGER and record.thread not in others
    ]


def until(is_done: Callable[[], bool]) -> None:
    """Hold the loop until something has happened in another thread."""
    give_up_at = time.monotonic() + WAIT_S
    while not is_done() and time.monotonic() < give_up_at:
        time.sleep(0.005)  # this process isn't patched: it holds the loop


def watches() -> set[int]:
    """Give the native threads that watch a loop, without those of other tests."""
    stacks = {
        ident: traceback.extract_stack(frame) for ident, frame in sys._current_frames().items()
    }
    return {
        ident
        for ident, stack in stacks.items()
        if any(one.name == "_look_until_the_end" for one in stack) and ident not in others
    }


def test_a_callback_that_holds_the_loop_is_logged_with_route_connection_and_stack(
    make_house: Any, caplog: pytest.LogCaptureFixture
) -> None:
    house = make_house(blocked_loop_s=LIMIT_S)

    def hold(connection: Any, event: str, data: str) -> None:
        if event == "message":
            until(lambda: bool(held(caplog)))
            connection.send("done")

    client, connection = house.connect(hold, "/ws/test")
    client.send_text("go")
    assert client.read_text() == "done"

    first = held(caplog)[0]
    assert f"by a callback of /ws/test, connection {connection.id}" in first
    assert "in hold" in first
    assert "in until" in first
    assert re.search(r"held for 0\.[1-9] s", first)


def test_the_end_is_logged_too(make_house: Any, caplog: pytest.LogCaptureFixture) -> None:
    house = make_house(blocked_loop_s=LIMIT_S)

    def hold(connection: Any, event: str, data: str) -> None:
        if event == "open":
            until(lambda: bool(held(caplog)))

    house.connect(hold)
    give_up_at = time.monotonic() + WAIT_S
    while len(held(caplog)) < 2 and time.monotonic() < give_up_at:
        gevent.sleep(0.01)

    assert [text.partition(",")[0].partition(" for ")[0] for text in held(caplog)] == [
        "the loop has been held",
        "the loop runs again",
    ]


def test_a_call_in_c_that_keeps_the_interpreter_to_itself_is_found_out(
    make_house: Any, caplog: pytest.LogCaptureFixture
) -> None:
    house = make_house(blocked_loop_s=0.05)

    def compute(connection: Any, event: str, data: str) -> None:
        if event == "message":
            give_up_at = time.monotonic() + WAIT_S
            while not held(caplog) and time.monotonic() < give_up_at:
                pow(7, 1_000_000)  # one instruction, some tenths of a second
            connection.send("done")

    client, _ = house.connect(compute)
    client.send_text("go")
    assert client.read_text() == "done"

    assert "in compute" in held(caplog)[0]


def test_many_short_callbacks_are_no_offence(
    make_house: Any, caplog: pytest.LogCaptureFixture
) -> None:
    # A busy machine stretches each of them; all of them together take four times the limit.
    house = make_house(blocked_loop_s=3 * LIMIT_S)

    def echo(connection: Any, event: str, data: str) -> None:
        if event == "message":
            time.sleep(0.005)
            connection.send(data)

    clients = [house.connect(echo)[0] for _ in range(10)]
    for _ in range(24):
        for client in clients:
            client.send_text("a")
        for client in clients:
            client.read_text()

    assert held(caplog) == []


def test_a_callback_that_waits_as_gevent_sees_it_holds_nothing(
    make_house: Any, caplog: pytest.LogCaptureFixture
) -> None:
    house = make_house(blocked_loop_s=LIMIT_S)

    def wait(connection: Any, event: str, data: str) -> None:
        if event == "message":
            gevent.sleep(5 * LIMIT_S)
            connection.send("done")

    client, _ = house.connect(wait)
    client.send_text("go")

    assert client.read_text() == "done"
    assert held(caplog) == []


def test_the_native_thread_ends_with_the_engine() -> None:
    before = watches()
    house = House(blocked_loop_s=LIMIT_S)
    house.engine  # noqa: B018  # made when it is asked for
    ours: set[int] = set()
    until(lambda: bool(ours.update(watches() - before) or ours))
    assert ours

    house.leave()

    until(lambda: not ours & watches())
    assert not ours & watches()


def test_with_0_there_is_no_thread() -> None:
    before = watches()
    house = House(blocked_loop_s=0)
    house.engine  # noqa: B018

    assert watches() - before == set()
    house.leave()


class Loop:
    """Stands for a hub and its loop, whose timer rings when the test says so."""

    def __init__(self) -> None:
        self.loop: Loop | None = self
        self.told: list[object] = []
        self.ring: Callable[[], object] = lambda: None

    def timer(self, after: float, repeat: float, ref: bool) -> Loop:
        self.told.append((after, repeat, ref))
        return self

    def start(self, function: Callable[[], object], update: bool) -> None:
        self.told.append("start")
        self.ring = function

    def stop(self) -> None:
        self.told.append("stop")

    def close(self) -> None:
        self.told.append("close")


class Watch(LoopWatch):
    """Writes down what each report gave."""

    def __init__(self, *arguments: Any) -> None:
        self.gave: list[str] = []
        super().__init__(*arguments)

    def _report(self, held_s: float) -> str:
        self.gave.append(super()._report(held_s))
        return self.gave[-1]


def name_of(argument: str, value: object) -> str | None:
    return f"{argument}={value}" if isinstance(value, Marked) else None


class Marked(str):
    """An argument that has a name for the watch."""


@pytest.fixture
def start_watch() -> Iterator[Callable[..., tuple[Watch, Loop]]]:
    made: list[Watch] = []

    def start(limit_s: float = LIMIT_S, thread_ident: int = 0) -> tuple[Watch, Loop]:
        loop = Loop()
        made.append(Watch(loop, thread_ident or threading.get_ident(), limit_s, name_of))
        return made[-1], loop

    yield start
    for watch in made:
        watch.close()
    until(lambda: not watches())


@pytest.mark.parametrize(("limit_s", "step_s"), [(0.8, 0.1), (0.08, 0.01), (0.01, 0.01)])
def test_the_loop_is_asked_eight_times_within_the_limit_but_a_hundred_a_second_at_most(
    start_watch: Any, limit_s: float, step_s: float
) -> None:
    _, loop = start_watch(limit_s)

    assert loop.told == [(step_s, step_s, False), "start"]


def test_who_closes_it_ends_its_timer_and_its_thread_and_may_do_so_twice(start_watch: Any) -> None:
    watch, loop = start_watch()
    until(lambda: bool(watches()))

    watch.close()
    watch.close()

    assert loop.told[2:4] == ["stop", "close"]
    until(lambda: not watches())
    assert not watches()


def test_in_a_forked_child_the_timer_of_its_parent_stops_at_its_next_beat(
    start_watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, loop = start_watch()
    loop.ring()
    assert loop.told[2:] == []

    monkeypatch.setattr(loop_watch, "os", SimpleNamespace(getpid=lambda: 1))
    loop.ring()

    assert loop.told[2:] == ["stop"]


def test_the_thread_ends_with_the_hub(start_watch: Any) -> None:
    _, loop = start_watch()
    until(lambda: bool(watches()))

    loop.loop = None

    until(lambda: not watches())
    assert not watches()


def test_its_thread_is_traced_as_those_of_threading_are(start_watch: Any) -> None:
    seen: set[str] = set()

    def note(frame: Any, event: str, argument: object) -> None:
        seen.add(frame.f_code.co_name)

    before = threading.gettrace()
    threading.settrace(note)
    try:
        start_watch()
        until(lambda: "_look_until_the_end" in seen)
    finally:
        threading.settrace(before)

    assert "_look_until_the_end" in seen


def test_a_failing_watch_says_so_and_ends(
    start_watch: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(step_s: float) -> None:
        raise LookupError("a mistake of ours")

    monkeypatch.setattr(loop_watch, "_Clock", fail)

    start_watch()
    until(lambda: bool(held(caplog)))

    assert held(caplog) == ["the watch of the loop failed"]


def test_a_program_that_computes_between_two_requests_holds_nothing(
    start_watch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    watch, _ = start_watch()

    until(lambda: len(watch.gave) > 1)

    assert set(watch.gave) == {""}
    assert held(caplog) == []


def test_a_thread_that_is_gone_holds_nothing(
    start_watch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    watch, _ = start_watch(thread_ident=1)

    until(lambda: bool(watch.gave))

    assert watch.gave[0] == ""
    assert held(caplog) == []


def in_a_greenlet(function: Callable[[], object]) -> None:
    gevent.spawn(function).get()


def test_the_outermost_argument_with_a_name_is_who_holds_it_and_is_named_once(
    start_watch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    watch, _ = start_watch()

    def hold(callback: str, user: str) -> None:
        look(Marked("inner"), 3)

    def look(inner: str, other: int) -> None:
        until(lambda: bool(held(caplog)) and len(watch.gave) > 0)

    in_a_greenlet(lambda: hold(Marked("outer"), "ada"))

    assert watch.gave == ["callback=outer"]
    (told,) = held(caplog)
    assert "by callback=outer; nobody else is served meanwhile\n" in told
    assert told.index("in hold") < told.index("in look") < told.index("in until")


def test_of_arguments_alone_somebody_is_named(
    start_watch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def hold() -> None:
        local = Marked("a local variable")
        until(lambda: bool(held(caplog)) or not local)

    start_watch()
    in_a_greenlet(hold)

    assert "by something that is neither a callback nor a request;" in held(caplog)[0]


def test_a_loop_that_runs_again_says_for_how_long_it_was_held(
    start_watch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    _, loop = start_watch()
    began = time.monotonic()
    in_a_greenlet(lambda: until(lambda: bool(held(caplog))))

    loop.ring()
    until(lambda: len(held(caplog)) > 1)

    took_s = time.monotonic() - began
    said = re.search(r"runs again, it was held for (\d\.\d) s by something", held(caplog)[1])
    assert said is not None
    assert LIMIT_S <= float(said[1]) <= took_s + 0.1


def test_after_it_ran_again_the_next_is_named_too(
    start_watch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    _, loop = start_watch()
    for count in (1, 3):
        in_a_greenlet(lambda count=count: until(lambda: len(held(caplog)) >= count))
        loop.ring()
        until(lambda count=count: len(held(caplog)) > count)

    assert [text.split(",")[0][:20] for text in held(caplog)] == [
        "the loop has been he",
        "the loop runs again",
    ] * 2


def test_a_loop_that_beats_is_never_held(
    start_watch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    watch, loop = start_watch()
    give_up_at = time.monotonic() + 4 * LIMIT_S

    def beat() -> bool:
        loop.ring()
        return time.monotonic() > give_up_at

    in_a_greenlet(lambda: until(beat))

    assert (watch.gave, held(caplog)) == ([], [])


def test_of_a_deep_stack_the_innermost_forty_are_logged(
    start_watch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def dive(depth: int) -> None:
        if depth:
            dive_deeper(depth - 1)
        else:
            until(lambda: bool(held(caplog)))

    def dive_deeper(depth: int) -> None:  # a second function: equal lines would be folded
        dive(depth)

    start_watch()
    in_a_greenlet(lambda: dive(100))

    assert held(caplog)[0].count("  File ") == 40
    assert "in until" in held(caplog)[0]


@pytest.mark.parametrize(
    ("passed_s", "used_s", "counted_s"),
    [
        (0.125, 0.0, 0.125),
        (0.25, 0.0, 0.25),
        (0.375, 0.0, 0.125),  # the process was stopped
        (5.0, 0.0, 0.125),
        (5.0, 0.0625, 0.125),
        (5.0, 3.0, 3.0),  # the machine was busy
        (5.0, 9.0, 5.0),  # several threads
    ],
)
def test_time_that_the_process_could_not_use_is_not_counted(
    monkeypatch: pytest.MonkeyPatch, passed_s: float, used_s: float, counted_s: float
) -> None:
    clock = SimpleNamespace(monotonic=lambda: now[0], process_time=lambda: now[1])
    now = [100.0, 10.0]
    monkeypatch.setattr(loop_watch, "time", clock)
    watched = loop_watch._Clock(0.125)

    for _ in range(2):
        now = [now[0] + passed_s, now[1] + used_s]
        assert watched.passed_s() == counted_s


@pytest.mark.parametrize(
    ("module", "function", "is_idle"),
    [
        ("gevent.hub", "run", True),
        ("gevent.hub", "switch", True),
        ("gevent.hub", "wait", False),
        ("shop", "run", False),
    ],
)
def test_a_hub_that_waits_for_its_turn_itself_holds_nothing(
    module: str, function: str, is_idle: bool
) -> None:
    code = SimpleNamespace(co_name=function)
    frame: Any = SimpleNamespace(f_globals={"__name__": module}, f_code=code)

    assert loop_watch._is_idle(frame) is is_idle


FORKING = """
import logging, os, sys, time
import gevent
from tina4_wsgi.config import Config
from tina4_wsgi.engine.runtime import Runtime

logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="%(process)d %(message)s")
config = Config(blocked_loop_s=0.1)
parent = Runtime(config)
parent.engine()
gevent.sleep(0.05)
pid = gevent.os.fork()
if pid:
    print("parent", os.getpid(), "child", pid, flush=True)
    gevent.os.waitpid(pid, 0)
else:
    child = Runtime(config, parent)
    child.engine()
    gevent.sleep(0.05)
    def hold_in_the_child():
        time.sleep(0.5)
    gevent.spawn(hold_in_the_child).join()
    child.drain(1.0)
    child.close()
    give_up_at = time.monotonic() + 5
    while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < give_up_at:
        gevent.sleep(0.01)
    print("tasks", len(os.listdir("/proc/self/task")), flush=True)
os._exit(0)
"""


def test_a_child_that_was_forked_has_a_watch_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKING],
        cwd=servers.ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )

    named = re.search(r"parent (\d+) child (\d+)", done.stdout)
    assert named is not None, done.stdout + done.stderr
    assert f"{named[2]} the loop has been held" in done.stdout
    assert "in hold_in_the_child" in done.stdout
    assert f"{named[1]} the loop" not in done.stdout
    assert "tasks 1" in done.stdout


@pytest.fixture(scope="module", params=["own", "gunicorn"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Patched processes, with the limit that is set by default."""
    with run_site(
        request.param, "holding:app", tmp_path_factory.mktemp("holding"), working_folder=APPS
    ) as running:
        yield running


def test_a_callback_on_a_real_server_is_named(site: Site) -> None:
    with RawClient.open(site.address, "/ws/hold/ada") as client:
        client.send_text("1")
        connection_id = client.read_text().split()[0]

    named = site.server.wait_for_log(
        r"the loop has been held for .* by a callback of (\S+), connection (\w+);"
    )
    assert named[1] == "/ws/hold/{name}"
    assert named[2] == connection_id
    assert "in hold_the_loop" in site.server.log


def test_a_view_that_holds_the_loop_is_named_too(site: Site) -> None:
    with RawClient.open(site.address, "/ws/hold/ada"):  # with the first upgrade the watch begins
        site.request("GET", "/hold/1?token=secret")

    site.server.wait_for_log(r"the loop has been held for .* by the request GET '/hold/1'")
    assert not any("secret" in line for line in accusations(site))


def test_a_process_that_was_stopped_held_nothing(site: Site) -> None:
    with RawClient.open(site.address, "/ws/hold/ada") as client:
        client.send_text("0")
        client.read_text()
        before = accusations(site)
        group = os.getpgid(site.server.pid)
        os.killpg(group, signal.SIGSTOP)
        time.sleep(2)  # not to wait for anything: this is the time that nobody held
        os.killpg(group, signal.SIGCONT)
        for _ in range(30):  # the watch has looked several times meanwhile
            client.send_text("0.01")
            client.read_text()

    assert accusations(site) == before


def accusations(site: Site) -> list[str]:
    """The lines that name somebody; those that say that the loop runs again may come a moment
    later.
    """
    return [line for line in site.server.log.splitlines() if "the loop has been held" in line]


ENDING = """
import atexit, logging, time
import gevent
from tina4_wsgi.config import Config
from tina4_wsgi.engine.runtime import Runtime

logging.basicConfig()
runtime = Runtime(Config(blocked_loop_s=0.05))
runtime.engine()


@atexit.register
def tidy_up():
    time.sleep(0.3)


gevent.sleep(0.1)
time.sleep(0.3)  # the program's own business
"""


def test_a_program_that_ends_is_held_by_nobody() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDING], capture_output=True, text=True, timeout=20, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
