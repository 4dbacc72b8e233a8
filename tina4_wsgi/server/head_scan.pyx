"""Takes a request head apart that is at hand as a whole and has nothing uncommon about it, for a C
compiler; `head_scan.py` explains it.
"""

import re

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeLatin1

from ..protocol.grammar import TOKEN_BYTE
from .variable_names import VARIABLE_NAMES, variable_name

cdef extern from "<string.h>" nogil:
    int memcmp(const void *one, const void *other, size_t size)

__all__ = ["scan_head"]

cdef dict _known = VARIABLE_NAMES
cdef unsigned char[256] _IS_TOKEN
for _byte in range(256):
    _IS_TOKEN[_byte] = re.fullmatch(TOKEN_BYTE, bytes([_byte])) is not None


cdef inline object _text(const char *begin, const char *end):
    return PyUnicode_DecodeLatin1(begin, end - begin, NULL)


cdef inline bint _is_space(char byte) noexcept:
    return byte == b" " or byte == b"\t"


cpdef scan_head(bytes data, Py_ssize_t line_bytes, Py_ssize_t fields, Py_ssize_t head_bytes):
    """Take the head apart that `data` begins with; see `head_scan.py`."""
    cdef const char *begin = PyBytes_AS_STRING(data)
    # A NUL stands behind the bytes of any `bytes`, and no loop here goes past one.
    cdef const char *stop = begin + PyBytes_GET_SIZE(data)
    cdef const char *at = begin
    cdef const char *line
    cdef const char *word
    cdef const char *value_end

    while _IS_TOKEN[<unsigned char> at[0]]:
        at += 1
    if at == begin or at - begin > 64 or at[0] != b" ":
        return None
    method = _text(begin, at)

    at += 1
    word = at
    while 0x21 <= <unsigned char> at[0] <= 0x7E:
        at += 1
    if at == word or stop - at < 12 or memcmp(at, b" HTTP/1.", 8) != 0:
        return None
    target = _text(word, at)

    at += 8
    if not b"0" <= at[0] <= b"9" or at[1] != b"\r" or at[2] != b"\n":
        return None
    version = "HTTP/1.0" if at[0] == b"0" else "HTTP/1.1"
    at += 1
    if at - begin > line_bytes:
        return None

    cdef dict variables = {}
    cdef bytes name
    # `at` is at the end of a line, where two more bytes are known to be.
    while True:
        line = at + 2
        if line[0] == b"\r" and line[1] == b"\n":
            break
        fields -= 1
        at = line
        while _IS_TOKEN[<unsigned char> at[0]]:
            at += 1
        if at == line or at[0] != b":" or fields < 0:
            return None
        name = PyBytes_FromStringAndSize(line, at - line)

        at += 1
        while _is_space(at[0]):
            at += 1
        word = at
        while <unsigned char> at[0] >= 0x20 and at[0] != 0x7F or at[0] == b"\t":
            at += 1
        if at[0] != b"\r" or at[1] != b"\n" or at - line > line_bytes:
            return None
        value_end = at
        while value_end > word and _is_space(value_end[-1]):
            value_end -= 1

        key = _known.get(name)
        if key is None:
            key = variable_name(name)
        if key in variables:
            return None
        if key:
            variables[key] = _text(word, value_end)

    if at + 2 - begin > head_bytes:
        return None
    return method, target, version, variables, line + 2 - begin
