cdef class Owner:
    cpdef received(self, bytes data)
