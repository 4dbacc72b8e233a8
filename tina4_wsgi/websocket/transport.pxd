cimport cython
from .seams cimport TransportOwner
from ..hub.flush_queue cimport FlushQueue
from ..hub.poller cimport Poller, Reader
from ..hub.syscalls cimport Inbox, close_descriptor, send

cdef class FrameSource:
    cdef public list pending

cdef class Transport(Reader):
    cdef object __weakref__
    cdef object _backlog
    cdef TransportOwner _owner
    cdef bytes _pong
    cdef object _stream
    cdef FlushQueue _flush_queue
    cdef Poller _poller
    cdef public FrameSource group
    cdef public Py_ssize_t mark
    cdef readonly Py_ssize_t most_bytes
    cdef readonly list outbox
    cdef readonly Py_ssize_t queued_bytes
    cdef readonly long long received_bytes
    cdef readonly long long sent_bytes
    cdef public long long sent_messages

    # Side by side, and a byte where Python doesn't see it: a bint takes four.
    cdef int _descriptor
    cdef int _pauses
    cdef int _read_bytes
    cdef unsigned char _is_drained
    cdef unsigned char _is_finishing
    cdef unsigned char _is_flush_near
    cdef unsigned char _is_peer_done
    cdef bint _is_discarding
    cdef public bint was_heard

    @cython.locals(inbox=Inbox, owner=TransportOwner, size=Py_ssize_t)
    cpdef on_readable(self)
    @cython.locals(owner=TransportOwner)
    cpdef leave_turn(self)
    @cython.locals(outbox=list)
    cpdef Py_ssize_t write(self, bytes frame)
    @cython.locals(pending=list, taken=list)
    cpdef take_pending(self)
    cpdef write_joined(self, bytes data)
    @cython.locals(outbox=list, data=bytes)
    cpdef flush(self)
    @cython.locals(sent=Py_ssize_t)
    cpdef _offer(self, bytes data)
