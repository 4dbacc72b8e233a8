cimport cython
from ..websocket.transport cimport FrameSource, Transport
from ..hub.flush_queue cimport FlushQueue

cdef class Group(FrameSource):
    cdef dict _members
    cdef Py_ssize_t _pending_bytes
    cdef tuple _snapshot
    cdef FlushQueue _flush_queue
    cdef readonly str name

    cpdef tuple members(self)
    cpdef broadcast(self, bytes frame, Transport exclude=*)
    cpdef broadcast_all(self, list frames)
    @cython.locals(pending=list, joined=bytes, member=Transport, taken=Py_ssize_t)
    cpdef flush(self)
