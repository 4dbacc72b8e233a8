"""SIGTERM in a process of native threads: everybody says goodbye, then it ends as it would have."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.support.servers import ROOT

ENDS_S = 20.0

BEGINNING = """
import os, signal, sys, time, gevent
from tina4_wsgi.hosting.termination import Termination
from tina4_wsgi.hub.hub_thread import HubThread

def say(word):
    os.write(1, word.encode() + b" ")

def farewell():
    gevent.sleep(0)
    say("goodbye")

def failing():
    raise LookupError("on purpose")

def put_off(*farewells):
    for one in farewells:
        HubThread.here().mailbox.call(Termination.put_off, one)

def terminate():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
"""


def run(program: str) -> tuple[int, str]:
    """Run a program behind `BEGINNING`; gives its exit code and what it printed."""
    command = ["env", "-u", "COVERAGE_PROCESS_CONFIG", sys.executable, "-c", BEGINNING + program]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=ENDS_S, check=False
    )
    return done.returncode, done.stdout


def test_a_farewell_comes_before_the_end():
    assert run("put_off(farewell); terminate()") == (-signal.SIGTERM, "goodbye ")


def test_each_farewell_is_said_once_and_none_ends_the_others():
    assert run("put_off(failing, farewell, farewell); terminate()") == (
        -signal.SIGTERM,
        "goodbye ",
    )


def test_a_farewell_that_was_removed_is_not_said():
    program = "put_off(farewell); Termination.remove(farewell); Termination.remove(farewell)"

    assert run(f"{program}; terminate()") == (-signal.SIGTERM, "")


def test_a_second_signal_ends_a_farewell_that_takes_long():
    program = """
def long():
    say("long")
    os.kill(os.getpid(), signal.SIGTERM)
    gevent.sleep(60)

put_off(long)
terminate()
"""
    assert run(program) == (-signal.SIGTERM, "long ")


@pytest.mark.parametrize("when", ["before", "behind"])
def test_a_handler_of_the_apps_has_its_say_alone(when):
    handle = "signal.signal(signal.SIGTERM, lambda *what: (say('handled'), os._exit(3)))"
    both = [handle, "put_off(farewell)"]
    program = "\n".join(both if when == "before" else reversed(both))

    assert run(f"{program}\nterminate()") == (3, "handled ")


def test_a_signal_that_is_ignored_stays_so():
    program = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
put_off(farewell)
os.kill(os.getpid(), signal.SIGTERM)
HubThread.here().mailbox.call_waiting(gevent.sleep, 0)
say("alive")
"""
    assert run(program) == (0, "alive ")


def test_a_watcher_of_another_hub_goes_before():
    program = """
gevent.signal_handler(signal.SIGTERM, lambda: (say("watched"), os._exit(4)))
put_off(farewell)
os.kill(os.getpid(), signal.SIGTERM)
gevent.sleep(60)
"""
    assert run(program) == (4, "watched ")


def test_a_forked_child_ends_at_once():
    program = """
put_off(farewell)
pid = os.fork()
if pid == 0:
    time.sleep(60)
os.kill(pid, signal.SIGTERM)
say(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
terminate()
"""
    assert run(program) == (-signal.SIGTERM, "-15 goodbye ")
