cdef class Inbox:
    cdef unsigned char *raw

    cpdef Py_ssize_t receive(self, int descriptor, Py_ssize_t most_bytes) noexcept

cpdef accept(listener)
cpdef Py_ssize_t send(int descriptor, bytes data) noexcept
cpdef close_descriptor(int descriptor)
cpdef shut_down_writing(int descriptor)
cpdef set_reset_on_close(int descriptor)
