cimport cython
from ..hub.dispatcher cimport Dispatcher
from .seams cimport ConnectionOwner
from .deadlines cimport Deadlines
from ..protocol.session cimport Session

cdef int _OPEN, _CLOSING, _GONE, _OVER, _CLOSED, _FORSAKEN

cdef class Lifecycle(Deadlines):
    cdef object __weakref__
    cdef object _callback
    cdef object _close_code
    cdef str _close_reason
    cdef object _ending
    cdef object _goodbye
    cdef ConnectionOwner _host
    cdef readonly list _inbound
    cdef bint _is_ended
    cdef bint _is_full
    cdef bint _is_opened
    cdef Py_ssize_t _message_count
    cdef double _patient_until_s
    cdef object _service
    cdef Session _session
    cdef int _state
    cdef bint _was_clean
    cdef Py_ssize_t _weighed_bytes
    cdef public bint is_waiting

    @cython.locals(inbound=list, dispatcher=Dispatcher, session=Session)
    cpdef received(self, bytes data)
    @cython.locals(host=ConnectionOwner, held_bytes=Py_ssize_t)
    cpdef _weigh(self)
    cpdef work(self)
    @cython.locals(inbound=list, has_rechecks=bint)
    cpdef _handle_inbound(self)
