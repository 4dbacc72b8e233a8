cimport cython
from .framing cimport bytes_at, text_at
from .masking cimport apply_mask

cdef int _FIN, _RESERVED, _MASKED, _WHOLE_TEXT, _WHOLE_BINARY

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
    cdef Py_ssize_t _most_message_bytes
    cdef readonly bint is_assembling
    cdef readonly Py_ssize_t most_bytes
    cdef readonly Py_ssize_t most_messages
    cdef public list pongs
    cdef readonly tuple peer_close
    cdef public Py_ssize_t queued_bytes

    cpdef bint is_as_new(self) except -1
    @cython.locals(position=Py_ssize_t, size=Py_ssize_t, stop=Py_ssize_t)
    cpdef bint feed(self, bytes data, list messages)
    @cython.locals(position=Py_ssize_t)
    cdef bint feed_raw(self, const unsigned char *raw, Py_ssize_t size, list messages) except -1
    cdef bint _has_room(self, list messages)
    @cython.locals(first=int, start=Py_ssize_t, stop=Py_ssize_t, length=Py_ssize_t)
    cdef Py_ssize_t _take_whole(
        self, const unsigned char *raw, Py_ssize_t position, Py_ssize_t size, list messages
    ) except -1
