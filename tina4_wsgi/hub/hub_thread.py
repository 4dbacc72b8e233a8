"""A native thread of our own that runs a gevent hub, in processes that aren't gevent's.

Under gunicorn's sync and gthread workers, Werkzeug's server and their like, requests run in native
threads that have no hub. The first upgrade starts this thread, and all WebSockets of the process
live there, so an open one holds none of the server's threads.

Invariants: at most one in a process, whichever thread asks first; none in a forked child until one
asks there; nothing starts at import.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, ClassVar

import gevent
from gevent import monkey
from gevent.event import Event

from .mailbox import Mailbox
from .native import allocate_lock, get_ident, start_deaf_thread, start_new_thread

if TYPE_CHECKING:
    from _thread import LockType

logger = logging.getLogger("tina4_wsgi.hub_thread")


class HubThread:
    """The hub's thread of this process; `here` gives it.

    Attributes:
        ident: identifier of the native thread.
        mailbox: takes calls from all other threads.
        is_deaf: whether it, and so the threads of callbacks, get no signals: where the server's
            handlers are in C, and end the process. Elsewhere callbacks start processes of their
            own, which would inherit that.
    """

    is_deaf: ClassVar[bool] = False

    _lock: ClassVar[LockType] = allocate_lock()
    _one: ClassVar[HubThread | None] = None

    def __init__(self) -> None:
        self.ident = 0
        self.mailbox: Mailbox
        self._is_ready = allocate_lock()
        self._is_ready.acquire()

    @classmethod
    def here(cls) -> HubThread:
        """Return this process's; the first call starts it, and waits until its hub runs."""
        one = cls._one
        if one is None:
            with cls._lock:
                one = cls._one
                if one is None:
                    one = HubThread()
                    start = start_deaf_thread if cls.is_deaf else start_new_thread
                    start(one._run, ())
                    one._is_ready.acquire()
                    cls._one = one
        return one

    @classmethod
    def is_current(cls) -> bool:
        """Return whether the calling thread is this process's hub thread."""
        one = cls._one
        return one is not None and one.ident == get_ident()

    @classmethod
    def forget(cls) -> None:
        """Begin anew in a forked child, where the thread doesn't exist."""
        cls._lock = allocate_lock()  # another thread of the parent may have held it
        cls._one = None

    def _run(self) -> None:
        hub = gevent.get_hub()
        # Keeps the loop running while there is nothing to wait for.
        keeper = hub.loop.async_()
        keeper.start(lambda: None)
        self.ident = get_ident()
        self.mailbox = Mailbox(hub)
        self._is_ready.release()

        for_ever = Event()
        while True:
            try:
                for_ever.wait()
            except BaseException:
                # What gevent passes on to the main greenlet of a hub's thread, such as a SystemExit
                # in a greenlet, ends no thread that serves others.
                logger.exception("an error reached the thread of the WebSockets, which goes on")


def is_patched() -> bool:
    """Return whether `threading` deals with greenlets in this process."""
    return bool(monkey.is_module_patched("threading"))


os.register_at_fork(after_in_child=HubThread.forget)
