"""Masking of payloads (RFC 6455 §5.3), for a C compiler; `masking.py` explains it."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from ..errors import UsageError

__all__ = ["apply_mask"]


cpdef bytes apply_mask(object data, object mask):
    """XOR `data` with the four bytes of `mask`; doing it twice returns `data`.

    Raises:
        UsageError: `mask` is not four bytes long.
    """
    cdef bytes source, key, masked
    cdef Py_ssize_t size

    key = mask if type(mask) is bytes else memoryview(mask).tobytes()
    if PyBytes_GET_SIZE(key) != 4:
        raise UsageError(f"mask of {len(key)} bytes, expected 4")
    source = data if type(data) is bytes else memoryview(data).tobytes()
    size = PyBytes_GET_SIZE(source)

    masked = PyBytes_FromStringAndSize(NULL, size)
    xor_into(<unsigned char *> PyBytes_AS_STRING(masked),
             <const unsigned char *> PyBytes_AS_STRING(source), size,
             <const unsigned char *> PyBytes_AS_STRING(key))
    return masked
