"""Watches the descriptors of one engine, all by one watcher of gevent's, for a C compiler;
`poller.py` explains it.
"""

import logging
import os

cimport cython
from libc.errno cimport EINTR, errno

from . import mishaps

cdef extern from "<sys/epoll.h>" nogil:
    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int operation, int descriptor, epoll_event *event)
    int epoll_wait(int epoll, epoll_event *events, int most_events, int timeout_ms)
    int EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL
    unsigned int EPOLLIN

cdef extern from "<unistd.h>" nogil:
    int c_close "close"(int descriptor)

__all__ = ["MOST_EVENTS", "Poller", "Reader"]

logger = logging.getLogger("tina4_wsgi.engine")

MOST_EVENTS = _MOST_EVENTS


cdef class Reader:
    """The owner of a descriptor that a poller watches."""

    cpdef on_readable(self):
        """Read once; called in the hub, or in a worker that runs a batch; doesn't raise."""
        raise NotImplementedError

    cpdef leave_turn(self):
        """A callback waits inside of `on_readable`, and others go on; called in the hub."""


@cython.auto_pickle(False)
cdef class Poller:
    """Calls readers whose descriptors are readable."""

    def __init__(self, loop, dispatcher=None):
        self.loop = loop
        self.inbox = Inbox()
        self._dispatcher = dispatcher
        self._readers = []  # by descriptor
        self._epoll = -1

    def __len__(self):
        return self._count

    cpdef add(self, int descriptor, Reader reader):
        """Call `reader.on_readable` whenever `descriptor` is readable."""
        cdef epoll_event event
        if self._epoll < 0:
            self._epoll = epoll_create1(EPOLL_CLOEXEC)
            if self._epoll < 0:
                raise OSError(errno, os.strerror(errno))
            self._watcher = self.loop.io(self._epoll, 1)

        event.events = EPOLLIN
        event.data.fd = descriptor
        if epoll_ctl(self._epoll, EPOLL_CTL_ADD, descriptor, &event) < 0:
            raise OSError(errno, os.strerror(errno))

        if not self._count:
            # Only as long as there are readers: the watcher keeps the loop alive.
            self._watcher.start(self._on_ready)
        while len(self._readers) <= descriptor:
            self._readers.append(None)
        self._readers[descriptor] = reader
        self._count += 1

    cpdef remove(self, int descriptor):
        """Watch `descriptor` no more; harmless if it isn't watched."""
        cdef epoll_event event
        if descriptor >= len(self._readers) or self._readers[descriptor] is None:
            return
        self._readers[descriptor] = None
        self._count -= 1
        epoll_ctl(self._epoll, EPOLL_CTL_DEL, descriptor, &event)
        if not self._count:
            self._watcher.stop()

    def close(self):
        """Watch nothing any more."""
        cdef int epoll = self._epoll
        self._readers = []
        self._count = self._next = self._stop = 0
        self._epoll = -1
        if epoll >= 0:
            self._watcher.stop()
            self._watcher.close()
            c_close(epoll)

    def _on_ready(self):
        cdef int found
        try:
            found = epoll_wait(self._epoll, self._events, _MOST_EVENTS, 0)
            if found < 0 and errno != EINTR:
                raise OSError(errno, os.strerror(errno))
            self._next, self._stop = 0, max(found, 0)
            if self._dispatcher is not None:
                self._dispatcher.run_batch(self)
            else:
                while self.step():
                    pass
        except BaseException as exc:
            # An exception that leaves would end the watcher.
            mishaps.report(logger, "waiting for clients failed", error=exc)

    # -- called by the dispatcher

    @property
    def has_more(self):
        """Whether events of this turn are left."""
        return self._next < self._stop

    cpdef bint step(self) except -1:
        """Hand the next event to its reader; return False if there was none."""
        cdef Reader reader
        cdef int descriptor
        if self._next >= self._stop:
            return False
        descriptor = self._events[self._next].data.fd
        self._next += 1
        # An earlier reader of this turn may have removed this one, or closed its descriptor, which
        # then may be a newcomer's: it finds nothing to read.
        if descriptor < len(self._readers) and self._readers[descriptor] is not None:
            reader = <Reader> self._readers[descriptor]
            self._current = reader
            reader.on_readable()
            self._current = None
        return True

    cpdef work(self):
        """Handle events in a worker, until none is left or a callback has waited."""
        cdef Dispatcher dispatcher = self._dispatcher
        cdef long long number = dispatcher.begin_batch()
        while self.step():
            if not dispatcher.may_go_on(number):
                return

    cpdef leave(self):
        """A callback waits inside of the last `step`; called in the hub."""
        cdef Reader reader = self._current
        self._current = None
        if reader is not None:
            reader.leave_turn()
