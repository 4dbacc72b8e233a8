"""Makes the stream of a TLS connection.

How it works. This module is pure Python. `tls.pyx` beside it is the same module for a C compiler;
where the engine is compiled, Python imports the compiled one, which calls OpenSSL itself: without
an object for each read and an exception for nothing, an echo takes four fifths of the time.

Invariants: both modules have the same function, whose results pass the same tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .stream import TLSStream

if TYPE_CHECKING:
    from .stream import SecureStream

__all__ = ["tls_stream"]


def tls_stream(sock: Any, session: Any) -> SecureStream:  # Any: the C classes have no public names
    """Make a stream of a socket whose TLS session the WSGI server has set up.

    Args:
        sock: the non-blocking socket below; the stream owns it from now on.
        session: the established OpenSSL session of this socket (`ssl.SSLSocket._sslobj`).
    """
    return TLSStream(sock, session)
