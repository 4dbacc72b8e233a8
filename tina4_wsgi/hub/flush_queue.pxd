cdef class FlushQueue:
    cdef object _run_callback
    cdef list _groups
    cdef list _transports
    cdef bint _is_scheduled
    cdef object _meter

    cpdef add_group(self, object group)
    cpdef add_transport(self, object transport)
