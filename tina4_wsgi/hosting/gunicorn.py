"""Facts about a gunicorn process, found without a configuration file of ours."""

from __future__ import annotations

import os
import signal
from typing import Any

_NOTICE_S = 1.0
"""A gevent worker checks once a second whether it has to stop, while the master's clock is running
already.
"""

_AFTER_S = 1.5
"""For the last "close" callbacks, and until the worker sees that we are done."""


def worker() -> Any:  # Any: gunicorn ships no types, and may not be installed
    """Return this process's gunicorn worker, None under any other server.

    A worker handles SIGTERM by a bound method; under `--preload` there is none before the fork, so
    ask late.
    """
    found = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return found if hasattr(found, "alive") and hasattr(found, "cfg") else None


def is_worker() -> bool:
    """Return whether this process is a gunicorn worker, and no child that one has forked."""
    found = worker()
    return found is not None and found.ppid == os.getppid()


def listening_on() -> list[Any]:
    """Return where gunicorn listens, as `getsockname` has it; nothing under other servers."""
    listeners = getattr(worker(), "sockets", None) or ()
    try:
        return [one.getsockname() for one in listeners]
    except OSError:  # a worker that stops has closed them
        return []


def time_to_stop_s(wanted_s: float) -> float:
    """Shorten what a drain wants to what this process's server grants before it kills.

    Args:
        wanted_s: `drain_timeout_s`.
    Returns:
        Seconds, below gunicorn's `graceful_timeout`; `wanted_s` where there is no limit.
    """
    found = worker()
    graceful_s = getattr(found.cfg, "graceful_timeout", None) if found is not None else None
    if not isinstance(graceful_s, int | float):
        return wanted_s
    return min(wanted_s, max(graceful_s / 4, graceful_s - _NOTICE_S - _AFTER_S))
