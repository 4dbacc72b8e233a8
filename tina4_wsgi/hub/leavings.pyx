"""What a job may leave on the greenlet that ran it, for a C compiler; `leavings.py` explains it."""

from weakref import getweakrefcount

cdef extern from "Python.h":
    ctypedef struct PyObject:
        pass

    ctypedef struct PyTypeObject:
        Py_ssize_t tp_weaklistoffset

    ctypedef struct PyThreadState:
        PyObject *context

    PyThreadState *PyThreadState_Get()
    PyTypeObject *Py_TYPE(object value)
    Py_ssize_t Py_REFCNT(object value)

__all__ = ["count_references", "has_weak_references", "may_have_context"]


cpdef bint may_have_context() noexcept:
    """Return whether the running greenlet may have a context with variables in it."""
    return PyThreadState_Get().context != NULL


cpdef Py_ssize_t count_references(object worker) noexcept:
    """Count what refers to a greenlet; comparable only with another count of this function."""
    return Py_REFCNT(worker)


cpdef bint has_weak_references(object worker) except -1:
    """Return whether anything refers weakly to a greenlet, such as a `gevent.local`."""
    cdef Py_ssize_t offset = Py_TYPE(worker).tp_weaklistoffset
    # The greenlet's own list of them. Where it isn't in the greenlet, Python is asked.
    if offset > 0 and (<PyObject **> (<char *> <void *> worker + offset))[0] == NULL:
        return False
    return getweakrefcount(worker) > 0
