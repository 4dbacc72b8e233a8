cdef class Dispatcher:
    cdef object __weakref__
    cdef object _hub
    cdef Py_ssize_t _most_workers
    cdef Py_ssize_t _own_references
    cdef list _parked
    cdef object _waiting
    cdef Py_ssize_t _worker_count

    cpdef run(self, object job)
    cpdef _start(self, object job)
