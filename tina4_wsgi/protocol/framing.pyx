"""Whole messages, laid out as frames and taken from frames (RFC 6455 §5.2, §5.6), for a C compiler;
`framing.py` explains it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

from .masking cimport xor_into

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    void *PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    str PyUnicode_DecodeUTF8(const char *text, Py_ssize_t size, const char *errors)

__all__ = ["LONGEST_WHOLE_BYTES", "bytes_at", "frame_of", "text_at", "text_frame"]

cdef enum:
    _LONGEST_WHOLE_BYTES = 65_535

LONGEST_WHOLE_BYTES = _LONGEST_WHOLE_BYTES

cdef unsigned char _TEXT = 0x81

# One for the process: the interpreter's lock is held from the first byte in to the last one out.
cdef unsigned char _plain[_LONGEST_WHOLE_BYTES]


cpdef str text_at(const unsigned char *raw, Py_ssize_t start, Py_ssize_t size):
    """Unmask and decode the text whose `size` bytes begin at `start`, right behind their mask."""
    xor_into(_plain, raw + start, size, raw + start - 4)
    return PyUnicode_DecodeUTF8(<const char *> _plain, size, NULL)


cpdef bytes bytes_at(const unsigned char *raw, Py_ssize_t start, Py_ssize_t size):
    """Unmask the `size` bytes that begin at `start`; see `text_at`."""
    cdef bytes plain = PyBytes_FromStringAndSize(NULL, size)
    xor_into(<unsigned char *> PyBytes_AS_STRING(plain), raw + start, size, raw + start - 4)
    return plain


cpdef bytes text_frame(str text):
    """Lay out a whole text as one frame."""
    cdef bytes payload
    if PyUnicode_IS_COMPACT_ASCII(text):
        # Its characters are its UTF-8, so they are copied but once.
        return _laid_out(_TEXT, <const char *> PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))
    payload = text.encode()
    return _laid_out(_TEXT, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload))


cpdef bytes frame_of(int first, bytes payload):
    """Lay out one unmasked frame (§5.1: a server never masks)."""
    return _laid_out(first, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload))


cdef bytes _laid_out(int first, const char *payload, Py_ssize_t size):
    cdef Py_ssize_t head = 2 if size < 126 else 4 if size < 65_536 else 10
    cdef bytes frame = PyBytes_FromStringAndSize(NULL, head + size)
    cdef unsigned char *at = <unsigned char *> PyBytes_AS_STRING(frame)
    cdef Py_ssize_t index

    at[0] = <unsigned char> first
    if head == 2:
        at[1] = <unsigned char> size
    else:
        at[1] = 126 if head == 4 else 127
        for index in range(2, head):
            at[index] = <unsigned char> (size >> 8 * (head - 1 - index))
    memcpy(at + head, payload, size)
    return frame
