from .leavings cimport count_references, has_weak_references, may_have_context

cdef class Dispatcher:
    cdef object __weakref__
    cdef object _hub
    cdef Py_ssize_t _most_workers
    cdef Py_ssize_t _own_references
    cdef list _parked
    cdef object _waiting
    cdef Py_ssize_t _worker_count
    cdef object _batch_worker
    cdef long long _batch_number
    cdef dict _batch_left
    cdef Py_ssize_t _batch_references
    cdef bint _has_run_here

    cpdef run(self, object job)
    cpdef bint takes_job_here(self) except -1
    cpdef long long begin_batch(self) except -1
    cpdef bint may_go_on(self, long long batch_number) except -1
    cpdef _start(self, object job)
    cpdef _free_worker(self)
