"""Who holds the loop is named in the log, with the stack; who doesn't is not, and nothing is left
of the watch.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from tests.support import servers
from tests.support.engine_house import House
from tests.support.raw import RawClient
from tests.support.site import Site, run_site

APPS = Path(__file__).with_name("apps")
LIMIT_S = 0.1
WAIT_S = 10.0
LOGGER = "tina4_wsgi.loop"


def held(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == LOGGER]


def until(is_done: Callable[[], bool]) -> None:
    """Hold the loop until something has happened in another thread."""
    give_up_at = time.monotonic() + WAIT_S
    while not is_done() and time.monotonic() < give_up_at:
        time.sleep(0.005)  # this process isn't patched: it holds the loop


def watches() -> set[int]:
    """Give the native threads that watch a loop; those of other tests may be among them."""
    stacks = {
        ident: traceback.extract_stack(frame) for ident, frame in sys._current_frames().items()
    }
    return {
        ident
        for ident, stack in stacks.items()
        if any(one.name == "_look_until_the_end" for one in stack)
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
    until(lambda: bool(watches() - before))
    (ours,) = watches() - before

    house.leave()

    until(lambda: ours not in watches())
    assert ours not in watches()


def test_with_0_there_is_no_thread() -> None:
    before = watches()
    house = House(blocked_loop_s=0)
    house.engine  # noqa: B018

    assert watches() - before == set()
    house.leave()


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
