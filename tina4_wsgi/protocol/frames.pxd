cimport cython

cdef int _FIN
cdef tuple _TEXT_HEADERS, _BINARY_HEADERS

@cython.locals(size=Py_ssize_t, first=int)
cpdef bytes encode_frame(int opcode, bytes payload, int reserved=*)

@cython.locals(text=str, payload=bytes, size=Py_ssize_t)
cpdef bytes encode_message(object message)
