"""Receives and sends on a descriptor, without waiting, and closes it, for a C compiler;
`syscalls.py` explains it.
"""

import os
from _socket import socket

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

    ctypedef unsigned int socklen_t
    int accept4(int descriptor, sockaddr *address, socklen_t *size, int flags)
    int SOCK_NONBLOCK, SOCK_CLOEXEC, AF_INET, AF_INET6

    struct sockaddr:
        unsigned short sa_family

    struct sockaddr_storage:
        pass

    struct linger:
        int l_onoff
        int l_linger

cdef extern from "<netinet/in.h>" nogil:
    struct in_addr:
        pass

    struct sockaddr_in:
        in_addr sin_addr
        unsigned short sin_port

    struct in6_addr:
        pass

    struct sockaddr_in6:
        in6_addr sin6_addr
        unsigned short sin6_port
        unsigned int sin6_flowinfo, sin6_scope_id

cdef extern from "<arpa/inet.h>" nogil:
    const char *inet_ntop(int family, const void *source, char *text, unsigned int size)
    unsigned short ntohs(unsigned short number)
    unsigned int ntohl(unsigned int number)

__all__ = [
    "BROKEN",
    "FIRST_READ_BYTES",
    "READ_BYTES",
    "WOULD_WAIT",
    "Inbox",
    "accept",
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


cpdef accept(listener):
    """Accept a connection; see `syscalls.py`."""
    cdef sockaddr_storage address
    cdef socklen_t size = sizeof(address)
    cdef sockaddr *base = <sockaddr *> &address
    cdef int flags = SOCK_NONBLOCK | SOCK_CLOEXEC
    cdef int descriptor = accept4(listener.fileno(), base, &size, flags)
    while descriptor < 0 and errno == EINTR:
        size = sizeof(address)
        descriptor = accept4(listener.fileno(), base, &size, flags)
    if descriptor < 0:
        if errno == EAGAIN:
            return None
        raise OSError(errno, os.strerror(errno))

    return descriptor, _address_of(base, size, descriptor)


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


cdef _address_of(sockaddr *base, socklen_t size, int descriptor):
    cdef sockaddr_in *v4 = <sockaddr_in *> base
    cdef sockaddr_in6 *v6 = <sockaddr_in6 *> base
    cdef char[64] text
    if base.sa_family == AF_INET:
        inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text))
        return text.decode("ascii"), ntohs(v4.sin_port)
    if base.sa_family == AF_INET6:
        inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text))
        flow = ntohl(v6.sin6_flowinfo)
        return text.decode("ascii"), ntohs(v6.sin6_port), flow, v6.sin6_scope_id
    if size <= sizeof(base.sa_family):
        return ""  # a client of a UNIX socket, nearly always without a name

    # The forms of the others aren't worth a second writing.
    sock = socket(fileno=descriptor)
    try:
        return sock.getpeername()
    except OSError:
        return ""  # it has gone already; a read will find out
    finally:
        sock.detach()


cdef Py_ssize_t _why_not() noexcept:
    return _WOULD_WAIT if errno == EAGAIN else _BROKEN
