"""`wsgi.input` of an upgrade under our own server: the connection's reader, made when asked for.

Our own server reads a handshake without one of gevent's sockets, which most upgrades don't need:
the engine takes the kernel's. `takeover` recognises this object and asks for that; whatever else
stands in or around the application finds the buffered reader here that pywsgi would give it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ..hub.native import get_ident

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

    from .socket_shell import GeventSocket
    from .switching import Taken


class Seat(Protocol):
    """The handler of a connection, whose `start_response` an application is called with.

    Attributes:
        is_made: whether `rfile` exists, so that somebody may read from it.
        is_taken: whether the socket has been taken.
    """

    is_taken: bool

    @property
    def is_made(self) -> bool: ...

    @property
    def socket(self) -> GeventSocket:
        """The socket as one of gevent's; made by the first access."""

    @property
    def rfile(self) -> io.BufferedReader:
        """What the client has sent and sends; made by the first access."""

    def take(self, head: bytes) -> Taken:
        """Give the socket away, and note that its 101 is `head`, which is not sent yet."""


class OwnInput:
    """Stands for `seat.rfile`.

    Attributes:
        seat: the handler.
        thread_ident: the thread that serves the connection.
    """

    __slots__ = ("seat", "thread_ident")

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.thread_ident = get_ident()

    def __getattr__(self, name: str) -> Any:  # whatever a reader has
        return getattr(self.seat.rfile, name)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.seat.rfile)
