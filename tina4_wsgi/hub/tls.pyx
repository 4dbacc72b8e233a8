"""Makes the stream of a TLS connection, for a C compiler; `tls.py` explains it."""

import ctypes
import os
import ssl

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.errno cimport errno

from . import openssl
from .stream import TLSStream, shut_down

__all__ = ["tls_stream"]

cdef enum:
    _ROOM_BYTES = 65_536
    _MOST_BYTES = 1 << 30  # a C int has room for it

    # <openssl/ssl.h>, <openssl/sslerr.h>
    _WANT_READ = 2
    _WANT_WRITE = 3
    _BROKEN_BELOW = 5
    _CLOSED = 6
    _UNEXPECTED_EOF = 294
    _REASONS = 0xFFF

ctypedef void *Session

# What is read waits here until it is copied; nothing else runs between, and no lock is given away.
cdef char _room[_ROOM_BYTES]

cdef bint _is_bound = False
cdef int (*_read)(Session, void *, int) noexcept
cdef int (*_write)(Session, const void *, int) noexcept
cdef int (*_has_pending)(Session) noexcept
cdef int (*_get_error)(Session, int) noexcept
cdef void (*_clear_errors)() noexcept
cdef unsigned long (*_last_error)() noexcept


cpdef object tls_stream(object sock, object session):
    """Make a stream of a socket whose TLS session the WSGI server has set up; see `tls.py`."""
    found = openssl.find(session)
    if found is None:
        return TLSStream(sock, session)
    if not _is_bound:
        _bind(found.library)
    return OpenSSLStream(sock, session, found.address)


cdef size_t _address(library, name) except 0:
    return ctypes.cast(getattr(library, name), ctypes.c_void_p).value


cdef _bind(library):
    global _is_bound, _read, _write, _has_pending, _get_error, _clear_errors, _last_error
    _read = <int (*)(Session, void *, int) noexcept> _address(library, "SSL_read")
    _write = <int (*)(Session, const void *, int) noexcept> _address(library, "SSL_write")
    _has_pending = <int (*)(Session) noexcept> _address(library, "SSL_has_pending")
    _get_error = <int (*)(Session, int) noexcept> _address(library, "SSL_get_error")
    _clear_errors = <void (*)() noexcept> _address(library, "ERR_clear_error")
    _last_error = <unsigned long (*)() noexcept> _address(library, "ERR_peek_last_error")
    _is_bound = True


cdef class OpenSSLStream:
    """A `stream.TLSStream` that calls OpenSSL itself."""

    cdef Session _address
    cdef object _sock
    cdef object _session  # keeps what the address is of

    def __cinit__(self, sock, session, size_t address):
        self._sock, self._session, self._address = sock, session, <Session> address

    def recv(self, Py_ssize_t size_bytes):
        """Read what has arrived; see `stream.TLSStream.recv`."""
        cdef int room = min(size_bytes, _ROOM_BYTES), got = 0, size
        while True:
            _clear_errors()
            size = _read(self._address, _room + got, room - got)
            if size <= 0:
                break
            got += size
            if got == room or not _has_pending(self._address):
                return PyBytes_FromStringAndSize(_room, got)

        if not self._has_ended(size) and not got:
            raise BlockingIOError
        return PyBytes_FromStringAndSize(_room, got)

    @property
    def has_pending(self):
        """Whether OpenSSL holds bytes, which don't make the descriptor readable."""
        return bool(_has_pending(self._address))

    def send(self, data):
        """Write as much as the kernel takes without waiting; see `socket.send`."""
        cdef Py_buffer view
        cdef int size
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            if not view.len:
                return 0
            _clear_errors()
            size = _write(self._address, view.buf, <int> min(view.len, _MOST_BYTES))
            if size > 0:
                return size
            if self._has_ended(size):
                raise BrokenPipeError("the peer has ended the TLS session")
        finally:
            PyBuffer_Release(&view)
        raise BlockingIOError

    cdef bint _has_ended(self, int result) except -1:
        """Explain the result of a read or write that did nothing.

        Returns:
            Whether the peer has ended the session, else it has to wait.
        Raises:
            OSError: the connection is broken.
        """
        cdef int code = errno, error = _get_error(self._address, result)
        if error == _WANT_READ or error == _WANT_WRITE:
            return False
        # Most peers close without a close_notify.
        if error == _CLOSED or _last_error() & _REASONS == _UNEXPECTED_EOF:
            return True
        if error == _BROKEN_BELOW:
            if not result or not code:
                return True
            raise OSError(code, os.strerror(code))
        raise ssl.SSLError("the TLS session is broken")

    def shutdown(self, how):
        """Send close_notify, then shut the socket down; see `stream.TLSStream.shutdown`."""
        shut_down(self._sock, self._session, how)

    @property
    def fileno(self):
        return self._sock.fileno

    @property
    def setsockopt(self):
        return self._sock.setsockopt

    @property
    def close(self):
        return self._sock.close
