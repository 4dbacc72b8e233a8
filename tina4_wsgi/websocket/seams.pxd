from ..protocol.session cimport Session

cdef class TransportOwner:
    cpdef received(self, bytes data)
    cdef received_raw(self, const unsigned char *raw, Py_ssize_t size)
    cpdef left_waiting(self)

cdef class ConnectionOwner:
    cdef readonly object hub
    cdef public bint has_threads
    cdef readonly object fanout
    cdef readonly object dispatcher
    cdef readonly object inquiries
    cdef readonly object mailbox
    cdef readonly object poller
    cdef readonly unsigned long long thread_ident
    cdef public Session spare_session
    cdef public list spare_inbound
    cdef public object spare_service
    cdef public double now_s
    cdef public long long inbound_bytes
    cdef readonly long long most_inbound_bytes
    cdef public Py_ssize_t slow_consumers
    cdef public Py_ssize_t drops_for_slow
    cdef public object keeper
    cdef public bint is_keeping
