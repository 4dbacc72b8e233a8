from .transport_owner cimport TransportOwner
from .transport cimport Transport

cdef class Deadlines(TransportOwner):
    cdef double _active_at_s
    cdef double _auth_ends_s
    cdef double _auth_lasts_s
    cdef bint _has_rechecks
    cdef bint _is_busy
    cdef bint _is_recheck_due
    cdef bint _is_rechecking
    cdef object _limits
    cdef double _ping_at_s
    cdef double _pong_by_s
    cdef double _recheck_at_s
    cdef public Transport _transport
    cdef public double due_s
