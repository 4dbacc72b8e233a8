"""One process that serves, as the process above it sees it."""

from __future__ import annotations

import os
import signal
import socket
import sys

import pytest

from tina4_wsgi.supervision import worker as worker_module
from tina4_wsgi.supervision.orders import RESTART, STOP, inherited
from tina4_wsgi.supervision.worker import Signals, Worker, command_again, how_it_ended

SERVING = """
import os, sys
listener_fd, orders_fd = map(int, sys.argv[1].removeprefix("--inherited=").split(","))
os.write(orders_fd, b"ready 2.5\\n")
sys.exit(ord(os.read(orders_fd, 1)))
"""
LOADING = "import time; time.sleep(600)"


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def signals():
    """Those that tests wait by: SIGCHLD alone."""
    before = signal.getsignal(signal.SIGCHLD)
    signals = Signals()
    yield signals
    signal.signal(signal.SIGCHLD, before)
    writing_fd = signal.set_wakeup_fd(-1)
    os.close(writing_fd)
    os.close(signals._fd)


def started(source, listener):
    return Worker(lambda option: [sys.executable, "-c", source, option], listener)


def wait_for_ready(worker, signals):
    while not worker.is_ready:
        signals.wait(10.0, [worker])
        assert worker.look() is None


@pytest.mark.parametrize(("order", "byte"), [("stop", STOP), ("restart", RESTART)])
def test_a_worker_that_serves_gets_its_order(listener, signals, order, byte):
    worker = started(SERVING, listener)
    wait_for_ready(worker, signals)

    getattr(worker, order)()

    assert worker.is_ending
    assert worker.wait() == ord(byte)


def test_a_worker_that_still_loads_is_terminated(listener):
    worker = started(LOADING, listener)

    worker.stop()

    assert worker.wait() == -signal.SIGTERM


def test_a_worker_that_does_not_end_in_time_is_killed(listener, monkeypatch):
    monkeypatch.setattr(worker_module, "GRACE_S", 0.0)
    worker = started(f"import signal; signal.signal(15, signal.SIG_IGN); {LOADING}", listener)
    monkeypatch.setattr(worker._process, "terminate", lambda: None)

    worker.stop()
    worker.look()

    assert worker.wait() == -signal.SIGKILL


def test_the_command_again_has_the_interpreter_and_the_options_behind_the_command():
    command = command_again(["serve", "shop:app"], "--inherited=3,4")

    assert command == [
        sys.executable,
        "-m",
        "tina4_wsgi",
        "serve",
        "--inherited=3,4",
        "shop:app",
    ]


def test_the_option_of_a_worker_is_read_as_two_descriptors():
    assert inherited("3,4") == (3, 4)


@pytest.mark.parametrize(
    ("code", "said"), [(1, "with exit code 1"), (-9, "by SIGKILL"), (-15, "by SIGTERM")]
)
def test_an_end_is_put_in_words(code, said):
    assert how_it_ended(code) == said
