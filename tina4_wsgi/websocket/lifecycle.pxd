cimport cython
from ..hub.dispatcher cimport Dispatcher
from ..hub.native cimport get_ident
from ..protocol.session cimport Session
from .deadlines cimport Deadlines
from .seams cimport ConnectionOwner, TransportOwner
from .transport cimport Transport

cdef double _NEVER
cdef int _OPEN, _CLOSING, _GONE, _OVER, _CLOSED, _FORSAKEN

cdef class Lifecycle(TransportOwner):
    cdef object _callback
    cdef Deadlines _deadlines
    cdef object _ending
    cdef object _goodbye
    cdef readonly list _inbound
    cdef public Session _session
    cdef Py_ssize_t _weighed_bytes
    cdef readonly object close_code
    cdef readonly str close_reason
    cdef readonly double connected_at_s
    cdef readonly object connection
    cdef readonly Py_ssize_t message_count
    cdef readonly ConnectionOwner owner
    cdef public dict rooms
    cdef readonly object service
    cdef readonly Transport transport

    # Side by side, and a byte where Python doesn't see it: a bint takes four.
    cdef unsigned char _awaits_mark
    cdef unsigned char _is_busy
    cdef unsigned char _is_full
    cdef unsigned char _is_opened
    cdef unsigned char _is_recheck_due
    cdef unsigned char _is_rechecking
    cdef unsigned char _state
    cdef bint _is_ended
    cdef bint _was_clean
    cdef public bint is_waiting
    cdef readonly int window_bits

    @cython.locals(owner=ConnectionOwner, transport=Transport)
    cpdef send(self, bytes frame)
    cpdef received(self, bytes data)
    @cython.locals(inbound=list, dispatcher=Dispatcher, session=Session)
    cdef received_raw(self, const unsigned char *raw, Py_ssize_t size)
    @cython.locals(session=Session)
    cpdef left_waiting(self)
    @cython.locals(owner=ConnectionOwner, session=Session)
    cdef Session _begin_session(self)
    @cython.locals(owner=ConnectionOwner, inbound=list, session=Session)
    cdef _end_session(self)
    @cython.locals(owner=ConnectionOwner, session=Session, held_bytes=Py_ssize_t)
    cpdef _weigh(self)
    cpdef work(self)
    @cython.locals(session=Session, inbound=list, has_rechecks=bint, deadlines=Deadlines)
    cpdef _handle_inbound(self)
