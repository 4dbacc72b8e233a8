from .dispatcher cimport Dispatcher
from .syscalls cimport Inbox

cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        int fd

    struct epoll_event:
        unsigned int events
        epoll_data_t data

cdef enum:
    _MOST_EVENTS = 256

cdef class Reader:
    cpdef on_readable(self)
    cpdef leave_turn(self)

cdef class Poller:
    cdef readonly object loop
    cdef readonly Inbox inbox
    cdef Dispatcher _dispatcher
    cdef list _readers
    cdef Py_ssize_t _count
    cdef object _watcher
    cdef int _epoll
    cdef epoll_event _events[_MOST_EVENTS]
    cdef int _next
    cdef int _stop
    cdef Reader _current

    cpdef add(self, int descriptor, Reader reader)
    cpdef remove(self, int descriptor)
    cpdef bint step(self) except -1
    cpdef work(self)
    cpdef leave(self)
