"""Requests that come to a threading server of the standard library while the interpreter ends.

Its clients hear 1001 then and come back at once, as they should. But from Python 3.12 on no thread
can be started any more, so Werkzeug's and Django's servers print a traceback for each of them. They
are closed without a word instead, and come back to the next process.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from socketserver import ThreadingMixIn

_STARTS_NO_THREADS = sys.version_info >= (3, 12)


def server_of_this_thread() -> ThreadingMixIn | None:
    """Return the server that runs the present request in a thread of its own; None for others."""
    module = sys.modules.get("socketserver")
    frame = sys._getframe() if module is not None and _STARTS_NO_THREADS else None
    while frame is not None:
        server = frame.f_locals.get("self")
        if module is not None and isinstance(server, module.ThreadingMixIn):
            found: ThreadingMixIn = server
            return found
        frame = frame.f_back
    return None


def refuse_requests(server: ThreadingMixIn) -> None:
    """Have the server close connections as it accepts them."""
    server.verify_request = _refuse  # type: ignore[attr-defined]  # of BaseServer, its other base


def _refuse(request: object, client_address: object) -> bool:
    return False
