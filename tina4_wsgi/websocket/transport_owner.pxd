cdef class TransportOwner:
    cpdef received(self, bytes data)
