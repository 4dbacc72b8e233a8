"""Receives and sends on a descriptor, without waiting, and closes it, for a C compiler;
`syscalls.py` explains it.
"""

import os

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.errno cimport EAGAIN, EINTR, errno

cdef extern from "<unistd.h>" nogil:
    int c_close "close"(int descriptor)

cdef extern from "<sys/socket.h>" nogil:
    ssize_t recv(int descriptor, void *room, size_t size, int flags)
    ssize_t c_send "send"(int descriptor, const void *data, size_t size, int flags)
    int shutdown(int descriptor, int how)
    int setsockopt(int descriptor, int level, int option, const void *value, unsigned int size)
    int MSG_DONTWAIT, MSG_NOSIGNAL, SHUT_WR, SOL_SOCKET, SO_LINGER

    struct linger:
        int l_onoff
        int l_linger

__all__ = [
    "BROKEN",
    "FIRST_READ_BYTES",
    "READ_BYTES",
    "WOULD_WAIT",
    "Inbox",
    "close_descriptor",
    "send",
    "set_reset_on_close",
    "shut_down_writing",
]

cdef enum:
    _READ_BYTES = 65_536
    _WOULD_WAIT = -1
    _BROKEN = -2

READ_BYTES = FIRST_READ_BYTES = _READ_BYTES
WOULD_WAIT, BROKEN = _WOULD_WAIT, _BROKEN


cdef class Inbox:
    """The bytes of the last `receive`, for all connections of one hub."""

    def __cinit__(self):
        self.raw = <unsigned char *> PyMem_Malloc(_READ_BYTES)
        if self.raw == NULL:
            raise MemoryError

    def __dealloc__(self):
        PyMem_Free(self.raw)

    cpdef Py_ssize_t receive(self, int descriptor, Py_ssize_t most_bytes) noexcept:
        """Receive what has arrived; see `syscalls.py`."""
        # The interpreter's lock is kept: a call that can't wait is shorter than handing it over.
        cdef ssize_t size = recv(descriptor, self.raw, min(most_bytes, _READ_BYTES), MSG_DONTWAIT)
        while size < 0 and errno == EINTR:
            size = recv(descriptor, self.raw, min(most_bytes, _READ_BYTES), MSG_DONTWAIT)
        return size if size >= 0 else _why_not()


cpdef Py_ssize_t send(int descriptor, bytes data) noexcept:
    """Offer `data` to the kernel; see `syscalls.py`."""
    cdef const char *at = PyBytes_AS_STRING(data)
    cdef ssize_t size = c_send(descriptor, at, PyBytes_GET_SIZE(data), MSG_DONTWAIT | MSG_NOSIGNAL)
    while size < 0 and errno == EINTR:
        size = c_send(descriptor, at, PyBytes_GET_SIZE(data), MSG_DONTWAIT | MSG_NOSIGNAL)
    return size if size >= 0 else _why_not()


cpdef close_descriptor(int descriptor):
    """Close a descriptor that no watcher of gevent's watches; see `syscalls.py`."""
    c_close(descriptor)


cpdef shut_down_writing(int descriptor):
    """Send FIN behind all that was sent; see `syscalls.py`."""
    if shutdown(descriptor, SHUT_WR) < 0:
        raise OSError(errno, os.strerror(errno))


cpdef set_reset_on_close(int descriptor):
    """Make `close` reset the connection; see `syscalls.py`."""
    cdef linger none
    none.l_onoff, none.l_linger = 1, 0
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &none, sizeof(none))


cdef Py_ssize_t _why_not() noexcept:
    return _WOULD_WAIT if errno == EAGAIN else _BROKEN
