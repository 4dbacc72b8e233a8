"""The hub's own thread: one in a process, made by whoever asks first, and anew in a forked child."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from tests.support.deadline import NEVER_S


def printed(program: str) -> str:
    """What a program prints in a process of its own, which isn't patched."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=NEVER_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_nothing_starts_at_import() -> None:
    assert (
        printed("""
        import os, tina4_wsgi
        from tina4_wsgi import App, Router
        app = App(router=Router())
        print(len(os.listdir("/proc/self/task")))
        """)
        == "1\n"
    )


def test_threads_that_ask_at_once_get_the_same() -> None:
    assert (
        printed("""
        import threading
        from tina4_wsgi.hub.hub_thread import HubThread
        start, found = threading.Barrier(20), []
        def ask():
            start.wait()
            found.append(HubThread.here())
        threads = [threading.Thread(target=ask) for _ in range(20)]
        for one in threads: one.start()
        for one in threads: one.join()
        print(len(found), len(set(found)))
        """)
        == "20 1\n"
    )


def test_calls_from_other_threads_run_there() -> None:
    assert (
        printed("""
        from tina4_wsgi.hub.hub_thread import HubThread
        from tina4_wsgi.hub.native import get_ident
        thread = HubThread.here()
        print(thread.mailbox.call(get_ident) == thread.ident != get_ident())
        print(HubThread.is_current(), thread.mailbox.call(HubThread.is_current))
        """)
        == "True\nFalse True\n"
    )


@pytest.mark.parametrize("error", ["SystemExit", "KeyboardInterrupt"])
def test_it_outlives_what_would_end_a_program(error: str) -> None:
    assert (
        printed(f"""
        import gevent, logging
        logging.disable()
        from tina4_wsgi.hub.hub_thread import HubThread
        mailbox = HubThread.here().mailbox
        def fail():
            gevent.get_hub().handle_error = lambda *args: None
            gevent.get_hub().parent.throw({error}("end"))
        mailbox.call_waiting(int)
        mailbox.post(fail)
        print(mailbox.call_waiting(int))
        """)
        == "0\n"
    )


def test_a_forked_child_has_none_and_gets_its_own() -> None:
    assert (
        printed("""
        import os, warnings
        warnings.simplefilter("ignore")
        from tina4_wsgi.hub.hub_thread import HubThread
        HubThread.here()
        before = HubThread.here().ident
        pid = os.fork()
        if pid == 0:
            print(HubThread._one, HubThread.here().mailbox.call_waiting(int), flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
        print(HubThread.here().ident == before)
        """)
        == "None 0\nTrue\n"
    )


def test_the_program_ends_though_it_runs() -> None:
    assert printed("from tina4_wsgi.hub.hub_thread import HubThread; HubThread.here()") == ""
