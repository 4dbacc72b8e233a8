cpdef bint may_have_context() noexcept
cpdef Py_ssize_t count_references(object worker) noexcept
cpdef bint has_weak_references(object worker) except -1
