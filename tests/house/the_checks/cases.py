"""What tests/house/test_the_checks.py runs: most of these fail, on purpose."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
import warnings

import gevent
import pytest

from tests.support.leaks import bare_threads
from tina4_wsgi.hub.loop_watch import LoopWatch

kept = []  # so that nothing below ends because nobody refers to it


def wait_for_ever():
    gevent.sleep(1000)


def test_clean():
    with socket.create_server(("127.0.0.1", 0)):
        gevent.spawn(gevent.sleep, 0.01).join()


def test_greenlet():
    kept.append(gevent.spawn(wait_for_ever))
    gevent.sleep(0)


def test_forgotten_greenlet():
    gevent.spawn(wait_for_ever)
    gevent.sleep(0)


def test_greenlet_not_begun():
    kept.append(gevent.spawn_later(1000, wait_for_ever))


def test_socket():
    kept.append(socket.create_server(("127.0.0.1", 0)))


def test_child():
    kept.append(subprocess.Popen(["sleep", "3"]))


def test_thread():
    threading.Thread(target=threading.Event().wait, args=(3,), name="stray").start()


def test_watch_of_a_loop():
    LoopWatch(gevent.get_hub(), threading.get_ident(), 60.0, lambda name, value: None)
    while not bare_threads():  # on a busy machine it begins later
        time.sleep(0.001)


@pytest.mark.leaks("shown here")
def test_marked_leak():
    kept.append(gevent.spawn(wait_for_ever))


def test_warning():
    warnings.warn("old", DeprecationWarning, stacklevel=1)


def test_skip():
    pytest.skip("no browser")


def _loop():
    while True:
        pass


def _receive():
    near, far = socket.socketpair()
    with near, far:
        near.recv(1)


HANGS = {
    "loop": _loop,
    "sleep": lambda: time.sleep(10),
    "hub": lambda: gevent.sleep(10),
    "greenlet": lambda: gevent.spawn(gevent.sleep, 10).join(),
    "swallowed": lambda: gevent.spawn(time.sleep, 10).join(),  # gevent prints what ends a greenlet
    "socket": _receive,
}


@pytest.mark.parametrize("kind", HANGS)
@pytest.mark.deadline(0.3)
@pytest.mark.leaks("it hangs")
def test_hang(kind):
    HANGS[kind]()
