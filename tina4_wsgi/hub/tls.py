"""Makes the stream of a TLS connection.

How it works. This module is pure Python. `tls.pyx` beside it is the same module for a C compiler;
where the engine is compiled, Python imports the compiled one, which calls OpenSSL itself: without
an object for each read and an exception for nothing, an echo takes four fifths of the time.

Invariants: both modules have the same function, whose results pass the same tests.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from . import openssl
from .stream import TLSStream

if TYPE_CHECKING:
    import socket

    from .stream import SecureStream, TLSSession

__all__ = ["tls_stream"]


def tls_stream(sock: socket.socket, session: TLSSession) -> SecureStream:
    """Make a stream of a socket whose TLS session the WSGI server has set up.

    Args:
        sock: the non-blocking socket below; the stream owns it from now on.
        session: of this socket.
    """
    found = openssl.find(session)
    if found is None:
        return TLSStream(sock, session)
    return TLSStream(sock, session, partial(found.library.SSL_has_pending, found.address))
