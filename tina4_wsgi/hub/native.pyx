"""Python's original thread functions, whatever `monkey.patch_all` has replaced, for a C compiler;
`native.py` explains it.
"""

import signal

from gevent.monkey import get_original

cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident()

__all__ = ["allocate_lock", "get_ident", "start_deaf_thread", "start_new_thread"]

allocate_lock = get_original("_thread", "allocate_lock")
start_new_thread = get_original("_thread", "start_new_thread")


cpdef unsigned long long get_ident() noexcept:
    """Return the identifier of the native thread, not of the greenlet."""
    return PyThread_get_thread_ident()


def start_deaf_thread(function, args):
    """Start a native thread that gets no signals; those that it starts get none either."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        start_new_thread(function, args)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
