"""Takes a request head apart that is at hand as a whole and has nothing uncommon about it.

How it works. This module is pure Python. `head_scan.pyx` beside it is the same module for a C
compiler; where the engine is compiled, Python imports the compiled one, which goes over the bytes
once.

Invariants: both modules have the same names, with the same results, and pass the same tests. A head
is taken apart here as `request_head.HeadReader` does it line by line, or not at all.
"""

from __future__ import annotations

import re

from ..protocol.grammar import TOKEN_BYTE
from .variable_names import variable_name

__all__ = ["scan_head"]

_REQUEST_LINE = re.compile(rb"(" + TOKEN_BYTE + rb"{1,64}) ([\x21-\x7e]+) HTTP/1\.([0-9])")
_FIELD = re.compile(rb"(" + TOKEN_BYTE + rb"+):([^\x00-\x08\x0a-\x1f\x7f]*)")


def scan_head(
    data: bytes, line_bytes: int, fields: int, head_bytes: int
) -> tuple[str, str, str, dict[str, str], int] | None:
    """Take the head apart that `data` begins with.

    Args:
        line_bytes, fields, head_bytes: see `request_head.HeadLimits`.
    Returns:
        Method, target, version ("HTTP/1.0" or "HTTP/1.1"), the header fields by their WSGI names,
        and how many bytes that took. None if the end of the head isn't there, or anything in it
        needs a closer look: an empty line before it, a line or a number beyond the limits, a byte
        where it may not be, a field that is given twice.
    """
    end = data.find(b"\r\n\r\n")
    if end <= 0 or end + 2 > head_bytes:
        return None
    first, *lines = data[:end].split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(first)
    if match is None or len(first) > line_bytes or len(lines) > fields:
        return None

    variables: dict[str, str] = {}
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None or len(line) > line_bytes:
            return None
        key = variable_name(field[1])
        if key in variables:
            return None
        if key:
            variables[key] = field[2].decode("latin-1").strip(" \t")

    version = "HTTP/1.0" if match[3] == b"0" else "HTTP/1.1"
    return match[1].decode("ascii"), match[2].decode("ascii"), version, variables, end + 4
