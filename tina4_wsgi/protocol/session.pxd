cimport cython
from .masking cimport apply_mask

cdef int _FIN, _RESERVED, _MASKED, _WHOLE_TEXT, _LONGEST_SHORT

cdef class _Message:
    cdef object _inflater
    cdef public Py_ssize_t fragments
    cdef readonly Py_ssize_t plain_bytes
    cdef readonly object size_bytes
    cdef bint _is_text
    cdef object _whole
    cdef object _parts
    cdef bytes _incomplete

cdef class _Payload:
    cdef public bytes mask
    cdef public object remaining_bytes
    cdef public bint is_final

cdef class Session:
    cdef object _limits
    cdef bint _may_compress
    cdef bytes _buffer
    cdef _Message _message
    cdef _Payload _payload
    cdef readonly bint is_assembling
    cdef readonly Py_ssize_t most_bytes
    cdef readonly Py_ssize_t most_messages
    cdef public list pongs
    cdef readonly tuple peer_close
    cdef public Py_ssize_t queued_bytes

    @cython.locals(raw=cython.p_uchar, position=Py_ssize_t, size=Py_ssize_t, second=Py_ssize_t,
                   stop=Py_ssize_t, start=Py_ssize_t, plain=bytes)
    cpdef bint feed(self, bytes data, list messages)
