cimport cython
from .lifecycle cimport Lifecycle
from ..protocol.frames cimport encode_message

cdef bytes _frame_of(object message, Lifecycle lifecycle)

cdef class Connection:
    cdef object __weakref__
    cdef object _id
    cdef readonly Lifecycle _lifecycle
    cdef object _opening
    cdef object _params
    cdef dict _state
    cdef public object auth
    cdef readonly str path
    cdef readonly object subprotocol
