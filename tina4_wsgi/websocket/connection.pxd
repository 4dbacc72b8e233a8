cimport cython
from .lifecycle cimport Lifecycle
from .seams cimport ConnectionOwner
from ..protocol.frames cimport encode_message
from .transport cimport Transport

cdef int _FORSAKEN, _OPEN

cdef class Connection(Lifecycle):
    cdef double _connected_at_s
    cdef object _id
    cdef object _opening
    cdef dict _state_dict
    cdef public object auth
    cdef readonly object params
    cdef readonly str path
    cdef public dict rooms
    cdef readonly object subprotocol
    cdef readonly int window_bits

    @cython.locals(frame=bytes, host=ConnectionOwner, transport=Transport)
    cdef bytes _frame_of(self, object message)
    cpdef send(self, object message)
