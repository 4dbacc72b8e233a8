"""Has OpenSSL read all that has arrived at once, in place of a record's head and then its rest.

Over TLS that is one system call a message in the place of two, a fifth of what an echo takes.
OpenSSL has SSL_set_read_ahead(3) for it, and Python's `ssl` no name for that. It is called by
`ctypes`, in the very library that `_ssl` is linked with, for the session that an object of `_ssl`
holds. Where that object isn't laid out as expected, or the library doesn't show these functions,
the session stays as it was, and is as right as before.
"""

from __future__ import annotations

import struct
from functools import cache, partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ctypes
    from collections.abc import Callable

_HEAD_BYTES = object.__basicsize__
_FIELDS = struct.Struct("PPP")
"""What follows the head of an object of `_ssl._SSLSocket` in CPython 3.10 to 3.15: its socket, the
session in OpenSSL, its context.
"""

_APP_DATA = 0  # where OpenSSL keeps, for its owner, what the session belongs to


def begin(session: Any) -> Callable[[], int] | None:  # Any: its class has no public name
    """Let an established session read ahead.

    Args:
        session: `ssl.SSLSocket._sslobj`; it must outlive what is returned.
    Returns:
        What tells whether OpenSSL holds bytes, decrypted or not; None where it can't read ahead.
    """
    library = _library()
    if library is None:
        return None
    address = _address_in_openssl(session, library)
    if address is None:
        return None
    library.SSL_set_read_ahead(address, 1)
    return partial(library.SSL_has_pending, address)


@cache
def _library() -> ctypes.PyDLL | None:
    """Open what `_ssl` has opened; None if it isn't there, or is part of the interpreter."""
    try:
        # Not every Python has these two, and who serves no TLS needs no `ctypes` in memory.
        import _ssl
        import ctypes

        # It keeps the interpreter's lock: these take less time than handing that over.
        library = ctypes.PyDLL(_ssl.__file__)
        pointer, number = ctypes.c_void_p, ctypes.c_int
        library.SSL_set_read_ahead.argtypes = [pointer, number]
        library.SSL_set_read_ahead.restype = None
        library.SSL_has_pending.argtypes = [pointer]
        library.SSL_get_ex_data.argtypes = [pointer, number]
        library.SSL_get_ex_data.restype = pointer
    except (ImportError, OSError, AttributeError):
        return None
    return library


def _address_in_openssl(session: Any, library: ctypes.PyDLL) -> int | None:
    """Find the session's address; None unless all that is known of it agrees."""
    import _ssl
    import ctypes

    kind = type(session)
    if (
        kind is not getattr(_ssl, "_SSLSocket", None)
        or kind.__basicsize__ < _HEAD_BYTES + _FIELDS.size
    ):
        return None
    _, address, context = _FIELDS.unpack(ctypes.string_at(id(session) + _HEAD_BYTES, _FIELDS.size))
    # Behind this pointer is the context, as Python gives it too: then it is the right one, and may
    # be followed, to where OpenSSL points back.
    if not address or context != id(session.context):
        return None
    is_its = library.SSL_get_ex_data(address, _APP_DATA) == id(session)
    return int(address) if is_its else None
