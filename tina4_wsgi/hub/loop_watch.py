"""Notices a greenlet that computes without giving others a turn, and logs which one it is.

How it works. A timer of the hub counts; a native thread looks at the count and, when the count
stands still for too long, takes the stack of the hub's thread. The arguments in that stack name the
connection or request, so nothing is recorded beforehand: a message costs nothing.

gevent's own monitor isn't used because it traces every greenlet switch, of which a message has two,
and because it knows neither route nor connection.

Invariants: the native thread touches no object of gevent's. It ends when `close` is called or the
hub is gone, and in no other case.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

from gevent._hub_local import get_hub_if_exists

from .native import allocate_lock, start_deaf_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

logger = logging.getLogger("tina4_wsgi.loop")


_NOBODY = "something that is neither a callback nor a request"

_LOOKS_PER_LIMIT = 8
"""How finely time is measured: at 500 ms one look every 62 ms, which costs 0.1 % of a core."""

_LEAST_STEP_S = 0.01
_MOST_FRAMES = 40  # of a stack that is logged, the innermost ones

# Functions of gevent's hub that are on top of its stack while the machine, not a callback, delays
# its turn.
_IDLE = ("run", "switch")

# Where the stack of a thread's first greenlet begins: of a script, of `python -m`, of a thread.
_MAIN_GREENLETS = ("<module>", "_run_module_as_main", "_bootstrap")


class LoopWatch:
    """Logs which callback or request holds one hub's loop over `limit_s`, how long, and its stack.

    Created and closed in the hub's thread; its native thread ends soon after `close`.

    Args:
        name_of: called in the native thread with the name and the value of a function's argument;
            returns a description of the connection or request that it belongs to, otherwise None.
    """

    def __init__(
        self,
        hub: Any,  # gevent ships no types
        thread_ident: int,
        limit_s: float,
        name_of: Callable[[str, object], str | None],
    ) -> None:
        self._hub = hub
        self._name_of = name_of
        self._thread_ident = thread_ident
        self._limit_s = limit_s
        self._step_s = max(limit_s / _LOOKS_PER_LIMIT, _LEAST_STEP_S)
        self._pid = os.getpid()

        self._beats = 0
        self._ending = allocate_lock()
        self._ending.acquire()

        # ref=False: the watch alone doesn't keep a process alive.
        self._timer = hub.loop.timer(self._step_s, self._step_s, ref=False)
        self._timer.start(self._beat, update=True)
        start_deaf_thread(self._watch, ())

    def close(self) -> None:
        """End the thread and close the timer."""
        self._timer.stop()
        self._timer.close()
        if self._ending.locked():
            self._ending.release()

    def _beat(self) -> None:
        self._beats += 1
        if os.getpid() != self._pid:
            self._timer.stop()  # a forked child inherits the timer, but not the thread

    # -- in the native thread

    def _watch(self) -> None:
        # As a thread of `threading` does: for debuggers and coverage.
        sys.settrace(threading.gettrace())
        try:
            self._look_until_the_end()
        except Exception:
            logger.exception("the watch of the loop failed")
        finally:
            # Waiting for the patched lock of a log handler makes a hub in this thread.
            hub = get_hub_if_exists()
            if hub is not None:
                hub.destroy()

    def _look_until_the_end(self) -> None:
        clock = _Clock(self._step_s)
        beats, held_s, who = self._beats, 0.0, ""

        while not self._ending.acquire(timeout=self._step_s):
            passed_s = clock.passed_s()

            if self._hub.loop is None:
                return  # the hub's thread has ended

            if self._beats != beats:
                if who:
                    logger.warning(
                        "the loop runs again, it was held for %.1f s by %s",
                        held_s + self._step_s,
                        who,
                    )
                beats, held_s, who = self._beats, 0.0, ""
                continue

            held_s += passed_s
            if held_s > self._limit_s and not who:
                who = self._report(held_s)
                if not who:
                    held_s = 0.0  # looking at the stack costs more than looking at the count

    def _report(self, held_s: float) -> str:
        """Log the stack and return who holds the loop; "" if no callback or request does."""
        if not threading.main_thread().is_alive():
            return ""  # the program has ended, and `atexit` calls its functions

        frame = sys._current_frames().get(self._thread_ident)
        if frame is None or _is_idle(frame):
            return ""

        frames = list(traceback.walk_stack(frame))
        if frames[-1][0].f_code.co_name in _MAIN_GREENLETS:
            return ""  # a test between two calls of its client, or a script: no callback

        who = self._who(one for one, _ in frames)
        stack = traceback.StackSummary.extract(iter(frames[:_MOST_FRAMES]), lookup_lines=False)
        stack.reverse()
        logger.warning(
            "the loop has been held for %.1f s by %s; nobody else is served meanwhile\n%s",
            held_s,
            who,
            "".join(stack.format()).rstrip(),
        )
        return who

    def _who(self, frames: Iterable[FrameType]) -> str:
        """Return the connection or request that the outermost arguments of a stack belong to.

        Args:
            frames: innermost first.
        """
        found = _NOBODY
        for frame in frames:
            code, values = frame.f_code, frame.f_locals
            for argument in code.co_varnames[: code.co_argcount]:
                found = self._name_of(argument, values.get(argument)) or found
        return found


class _Clock:
    """The time between looks, less the time that this process could not have used.

    Where the process was stopped, or the machine slept or is overloaded, no callback holds the
    loop: time passes, but CPU time doesn't. A call in C that keeps the interpreter's lock stops the
    watch too, but uses CPU time.
    """

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s
        self._looked_at_s = time.monotonic()
        self._used_s = time.process_time()

    def passed_s(self) -> float:
        now_s, used_s = time.monotonic(), time.process_time()
        passed_s, cpu_s = now_s - self._looked_at_s, used_s - self._used_s
        self._looked_at_s, self._used_s = now_s, used_s
        if passed_s <= 2 * self._step_s:
            return passed_s
        return max(self._step_s, min(passed_s, cpu_s))


def _is_idle(frame: FrameType) -> bool:
    """Return whether the hub itself is running, and nothing that it called."""
    return frame.f_globals.get("__name__") == "gevent.hub" and frame.f_code.co_name in _IDLE
