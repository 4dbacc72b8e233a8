"""Python's original thread functions, whatever `monkey.patch_all` has replaced.

Under monkey-patching the functions of `_thread` deal with greenlets instead of native threads, and
its locks switch to the hub instead of blocking the native thread. Code that runs in several native
threads needs the originals: two hubs of one process, or a hub and a `threading.Thread` of an
unpatched process.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from gevent.monkey import get_original

if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable

get_ident: Callable[[], int] = get_original("_thread", "get_ident")
"""Return the identifier of the native thread, not of the greenlet."""

allocate_lock: Callable[[], LockType] = get_original("_thread", "allocate_lock")
"""Return a lock that blocks the whole native thread, its hub and greenlets included. Never hold
one over a switch.
"""

start_new_thread: Callable[[Callable[..., object], tuple[object, ...]], int] = get_original(
    "_thread", "start_new_thread"
)
"""Start a native thread, not a greenlet."""


def start_deaf_thread(function: Callable[..., object], args: tuple[object, ...]) -> None:
    """Start a native thread that gets no signals; those that it starts get none either.

    A thread that just begins is the one that takes a signal of the process which another thread has
    yet to handle. Python's own handlers run in the main thread whoever took it. A handler in C,
    such as uWSGI's, which ends the process, runs where the signal was taken.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        start_new_thread(function, args)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
