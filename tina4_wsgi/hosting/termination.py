"""Clients hear 1001 under servers that SIGTERM would end at once.

Werkzeug's server, wsgiref's, Django's `runserver` and waitress leave SIGTERM to its default, which
ends the process without a word, and only the main thread may have Python handle a signal. A gevent
hub may watch one in any thread. So the hub's thread does, has everybody say goodbye, and then sends
the process the signal again, which ends it as it would have ended anyway.

Invariants: a handler of the server's or the app's goes before; a second SIGTERM ends the process at
once; a forked child has the default.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import gevent

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("tina4_wsgi.guardian")

_STATUS = Path("/proc/self/status")
_CAUGHT = "SigCgt:"

_own = threading.local()
"""The mask of signals that a thread had before it forked."""


class Termination:
    """What happens in this process when SIGTERM would end it.

    Greenlets: all of one hub's thread.
    """

    _watcher: ClassVar[Any] = None
    _farewells: ClassVar[list[Callable[[], object]]] = []

    @classmethod
    def put_off(cls, farewell: Callable[[], object]) -> None:
        """Have `farewell` run before SIGTERM ends the process; in a hub that runs for good.

        Args:
            farewell: runs in a greenlet of this hub, may wait, and ends in time.
        """
        if farewell not in cls._farewells:
            cls._farewells.append(farewell)
        if cls._watcher is None and not _has_handler():
            cls._watcher = gevent.get_hub().loop.signal(signal.SIGTERM)
            cls._watcher.start(gevent.spawn, cls._end)

    @classmethod
    def remove(cls, farewell: Callable[[], object]) -> None:
        """Forget it; harmless when repeated."""
        if farewell in cls._farewells:
            cls._farewells.remove(farewell)

    @classmethod
    def _end(cls) -> None:
        cls._watcher.stop()  # the next one has its default effect
        farewells = [gevent.spawn(_run, farewell) for farewell in cls._farewells]
        gevent.joinall(farewells)
        os.kill(os.getpid(), signal.SIGTERM)

    @classmethod
    def before_fork(cls) -> None:
        """Hold SIGTERM back: until `forget`, the child's would go to the parent's hub."""
        if cls._watcher is not None:
            _own.mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])

    @classmethod
    def after_fork(cls) -> None:
        """Let signals come again, in the thread that forked."""
        mask, _own.mask = getattr(_own, "mask", None), None
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    @classmethod
    def forget(cls) -> None:
        """Begin anew in a forked child: the watcher belongs to the parent's hub."""
        if cls._watcher is not None and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        cls._watcher = None
        cls._farewells = []
        cls.after_fork()


def _run(farewell: Callable[[], object]) -> None:
    try:
        farewell()
    except Exception:
        logger.exception("draining at SIGTERM failed")


def _has_handler() -> bool:
    """Return whether anything handles SIGTERM, or ignores it."""
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return True
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return False  # not Linux; what isn't Python's own, such as another hub's watcher, is rare
    caught = next((line for line in lines if line.startswith(_CAUGHT)), f"{_CAUGHT} 0")
    return bool(int(caught.removeprefix(_CAUGHT), 16) & 1 << signal.SIGTERM - 1)


os.register_at_fork(
    before=Termination.before_fork,
    after_in_parent=Termination.after_fork,
    after_in_child=Termination.forget,
)
