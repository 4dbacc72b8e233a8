cimport cython
from .seams cimport TransportOwner
from ..hub.flush_queue cimport FlushQueue

cdef class FrameSource:
    cdef public list pending

cdef class Transport:
    cdef object __weakref__
    cdef object _backlog
    cdef bint _is_discarding
    cdef bint _is_drained
    cdef bint _is_finishing
    cdef bint _is_flush_near
    cdef bint _is_peer_done
    cdef bint _is_tls
    cdef object _loop
    cdef TransportOwner _owner
    cdef int _pauses
    cdef bytes _pong
    cdef int _read_bytes
    cdef object _reader
    cdef object _stream
    cdef FlushQueue _flush_queue
    cdef public FrameSource group
    cdef public Py_ssize_t mark
    cdef readonly Py_ssize_t most_bytes
    cdef readonly list outbox
    cdef readonly Py_ssize_t queued_bytes
    cdef readonly long long received_bytes
    cdef readonly long long sent_bytes
    cdef public long long sent_messages
    cdef public bint was_heard

    @cython.locals(data=bytes)
    cpdef _on_readable(self)
    @cython.locals(outbox=list)
    cpdef Py_ssize_t write(self, bytes frame)
    @cython.locals(pending=list, taken=list)
    cpdef take_pending(self)
    cpdef write_joined(self, bytes data)
    @cython.locals(outbox=list, data=bytes)
    cpdef flush(self)
    @cython.locals(sent=Py_ssize_t)
    cpdef _offer(self, object stream, bytes data)
