"""A deadline around a block, that also ends one which gevent's hub runs or which is stuck in C.

First SIGALRM raises in the test, again every second in case something swallowed it. When that does
not help, because no Python code runs any more, faulthandler prints every stack and ends the
process.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType

import pytest

NEVER_S = 600.0
"""For a limit that must not be waited for: whoever does wait for it, runs into the deadline of the
test.
"""

AGAIN_S = 1.0
STUCK_AFTER_S = 20.0  # at least, beyond the deadline: time for `finally` blocks to end servers
SPARE_S = 60.0
MOST_SPARE_S = 300.0

_terminal = 2
_stuck_at_s = 0.0
"""When faulthandler ends this process, on the monotonic clock."""


def remember_terminal() -> None:
    """Keep the standard error of now: pytest points descriptor 2 elsewhere while a test runs."""
    global _terminal
    _terminal = os.dup(2)


@contextlib.contextmanager
def within(limit_s: float, what: str) -> Iterator[None]:
    """Fail the running test when the block takes longer than `limit_s` seconds."""

    message = ""

    def too_late(signum: int, frame: FrameType | None) -> None:
        nonlocal message
        message = message or f"{what} took longer than {limit_s:g} s\n{_greenlets()}"
        pytest.fail(message)

    previous = signal.signal(signal.SIGALRM, too_late)
    signal.setitimer(signal.ITIMER_REAL, limit_s, AGAIN_S)
    _watch_for(limit_s + STUCK_AFTER_S)
    try:
        yield
        if message:  # it was raised in a greenlet, which gevent ended with it
            pytest.fail(message)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _watch_for(least_s: float) -> None:
    """Have faulthandler watch for so long, or somewhat longer.

    Each time it is told it ends one native thread and starts another, which on a busy machine takes
    longer than most tests. So it is told about once a minute.
    """
    global _stuck_at_s
    now_s = time.monotonic()
    if not least_s <= _stuck_at_s - now_s <= least_s + MOST_SPARE_S:
        faulthandler.dump_traceback_later(least_s + SPARE_S, exit=True, file=_terminal)
        _stuck_at_s = now_s + least_s + SPARE_S


def stop_watching() -> None:
    """Have faulthandler end nothing any more, until the next deadline."""
    global _stuck_at_s
    _stuck_at_s = 0.0
    faulthandler.cancel_dump_traceback_later()


def _greenlets() -> str:
    """Say where every greenlet waits, if the test uses gevent at all."""
    if "gevent" not in sys.modules:
        return ""
    from gevent.util import format_run_info

    return "\n".join(format_run_info(thread_stacks=False))
