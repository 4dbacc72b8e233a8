"""Finds an established TLS session in OpenSSL itself, and has it read ahead.

Reading ahead, OpenSSL takes all that has arrived from a socket at once, in place of a record's head
and then its rest: one system call a message in the place of two. It has SSL_set_read_ahead(3) for
it, and Python's `ssl` no name for that. So its functions are called by `ctypes`, or from compiled
code, in the very library that `_ssl` is linked with, for the session that an object of `_ssl`
holds. Where that object isn't laid out as expected, or the library doesn't show its functions, the
session stays as it was, and is as right as before.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import ctypes

_HEAD_BYTES = object.__basicsize__
_FIELDS = struct.Struct("PPP")
"""What follows the head of an object of `_ssl._SSLSocket` in CPython 3.10 to 3.15: its socket, the
session in OpenSSL, its context.
"""

_APP_DATA = 0  # where OpenSSL keeps, for its owner, what the session belongs to

FUNCTIONS = (
    "ERR_clear_error",
    "ERR_peek_last_error",
    "SSL_get_error",
    "SSL_get_ex_data",
    "SSL_has_pending",
    "SSL_read",
    "SSL_set_read_ahead",
    "SSL_write",
)


class Found(NamedTuple):
    """A session that reads ahead.

    Attributes:
        address: of OpenSSL's `SSL`, as long as Python's object of it lives.
        library: the `FUNCTIONS`; called by Python, they keep the interpreter's lock.
    """

    address: int
    library: ctypes.PyDLL


def find(session: object) -> Found | None:
    """Find an established session and let it read ahead.

    Args:
        session: `ssl.SSLSocket._sslobj`; it must outlive what is returned.
    Returns:
        None where that can't be done, or where Python code watches what is read.
    """
    library = _library()
    if library is None:
        return None
    address = _address_of(session, library)
    if address is None:
        return None
    library.SSL_set_read_ahead(address, 1)
    return Found(address, library)


@cache
def _library() -> ctypes.PyDLL | None:
    """Open what `_ssl` has opened; None if it isn't there, or is part of the interpreter."""
    try:
        # Not every Python has these two, and who serves no TLS needs no `ctypes` in memory.
        import _ssl
        import ctypes

        library = ctypes.PyDLL(_ssl.__file__)
        pointer, number = ctypes.c_void_p, ctypes.c_int
        for name in FUNCTIONS:
            getattr(library, name)
        library.SSL_set_read_ahead.argtypes = [pointer, number]
        library.SSL_set_read_ahead.restype = None
        library.SSL_has_pending.argtypes = [pointer]
        library.SSL_get_ex_data.argtypes = [pointer, number]
        library.SSL_get_ex_data.restype = pointer
    except (ImportError, OSError, AttributeError):
        return None
    return library


def _address_of(session: object, library: ctypes.PyDLL) -> int | None:
    """Find a session's address; None unless all that is known of it agrees, and nobody watches."""
    import _ssl
    import ctypes

    kind = type(session)
    if kind is not getattr(_ssl, "_SSLSocket", None):
        return None
    if kind.__basicsize__ < _HEAD_BYTES + _FIELDS.size:
        return None
    context = getattr(session, "context", None)
    if getattr(context, "_msg_callback", None) is not None:
        return None
    _, address, context_address = _FIELDS.unpack(
        ctypes.string_at(id(session) + _HEAD_BYTES, _FIELDS.size)
    )
    # The context is where it is expected, as Python gives it too. So the pointer before it is the
    # right one and may be followed, to where OpenSSL points back.
    if not address or context_address != id(context):
        return None
    is_its = library.SSL_get_ex_data(address, _APP_DATA) == id(session)
    return int(address) if is_its else None
