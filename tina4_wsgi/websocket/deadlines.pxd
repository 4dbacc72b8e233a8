cdef class Deadlines:
    cdef double _auth_ends_s
    cdef object _limits
    cdef double _patient_until_s
    cdef double _ping_at_s
    cdef double _pong_by_s
    cdef public double active_at_s
    cdef readonly double due_s
    cdef readonly double recheck_at_s
