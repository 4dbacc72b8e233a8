"""The answer 101: its head, what takes the connection behind it, and what an app returns for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..hub.stream import Stream

Fields = list[tuple[str, str]]

SWITCHING = "101 Switching Protocols"
SWITCHING_HEADS = (b"HTTP/1.1 101", b"HTTP/1.0 101")
"""How a server begins it. Werkzeug's without threads and wsgiref's say HTTP/1.0, whatever they were
asked.
"""
INTERIM_HEADS = (b"HTTP/1.1 1", b"HTTP/1.0 1")
HEAD_END = b"\r\n\r\n"

UPGRADE = (("Upgrade", "websocket"), ("Connection", "Upgrade"))
"""The fields that PEP 3333 keeps from apps, and that some servers refuse."""

_BODY_FIELDS = frozenset(
    {"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"}
)
"""Of a server's 101, these are ours to say, or say something of a body, which it has none of."""


class Taken(NamedTuple):
    """A connection that was taken from the server.

    Attributes:
        stream: the socket, non-blocking, or its descriptor.
        early: bytes that the client sent right behind its handshake.
        head: the answer where the server hasn't sent it; it leaves before the first frame.
    """

    stream: Stream | int
    early: bytes
    head: bytes = b""


class Taker(Protocol):
    """Waits for a connection to be taken; one of its methods is called, once."""

    def take(self, taken: Taken) -> None:
        """Go on with it: the 101 has left, or is `taken.head`."""

    def give_up(self, answer: bytes, nearest: str) -> None:
        """End: no 101 was sent, but an answer that began with `answer`, or nothing, b"".

        Args:
            nearest: the name of what called the app: the middleware that stands nearest to it.
        """


class Answered:
    """The return value of an application for an upgrade: a response with an empty body.

    Its one piece is b"", since some middlewares ask for a first one.
    """

    def __iter__(self) -> Iterator[bytes]:
        return iter((b"",))

    def __len__(self) -> int:
        return 1

    def close(self) -> None:
        """Do nothing, however often: the connection has been taken."""


def head_of(fields: Iterable[tuple[str, str]]) -> bytes:
    """Lay out the head of a 101 with these fields."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in fields])
    return f"HTTP/1.1 {SWITCHING}\r\n{lines}\r\n".encode("latin-1")


def added_to(fields: Fields, head: bytes) -> Iterator[tuple[str, str]]:
    """Find what middlewares and the server have added to our fields.

    gunicorn before 24 announces a chunked body, which is left out.

    Args:
        head: as the server has written it, without the empty line.
    """
    ours = _BODY_FIELDS.union(name.lower() for name, _ in fields)
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.lower() not in ours:
            yield name, value.strip()
