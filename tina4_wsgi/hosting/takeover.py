"""Taking a connection away from the WSGI server that accepted it.

The answer goes through `start_response`, so the server logs it like any other, and middlewares
around the app see an ordinary response. Then the socket is detached from the object that the server
holds, together with the bytes that were read behind the handshake. Whatever the server does
afterwards, it does to a `Shell`.

Where `start_response` is the server's own, the 101 is sure, and we write its bytes ourselves where
the server lets us: they leave in one packet with what "open" sends, which saves a seventh of a
connection's whole cost under gunicorn. Behind anything else a `Door` waits for the server to write
the 101: a middleware may keep it for later, add fields to it, or answer something else.

Invariants: detach, never `dup()` (pywsgi reads from its own descriptor once more and eats frames);
recover what was read ahead; no frame before the 101; private attributes of gevent and gunicorn are
touched here and in `socket_shell` only.
"""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from gevent.exceptions import ConcurrentObjectUseError

from ..errors import Refused
from ..hub.native import get_ident
from ..hub.tls import tls_stream
from ..spy import spy_of
from .own_input import OwnInput
from .socket_shell import Door, Shell

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterable, Iterator

    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from geventwebsocket.handler import WebSocketHandler

    from ..hub.stream import Stream
    from ..spy import Spy
    from .own_input import Seat
    from .socket_shell import GeventSocket


_NEEDS = (
    "this server can't hand over its sockets; run it under `tina4-wsgi serve`, `gunicorn -k "
    "gevent` "
    "or a gevent.pywsgi server"
)
_NEEDS_INPUT = (
    "a middleware around this app has replaced wsgi.input, which holds what the client sent behind "
    "its handshake; "
    "let it leave requests with an Upgrade field alone"
)
_NEEDS_ONE_CALL = (
    "this handshake was answered before; a middleware around this app calls it twice for one "
    "request, "
    "let it leave requests with an Upgrade field alone"
)
_NEEDS_ITS_THREAD = (
    "a middleware around this app calls it in another thread than its server's, "
    "let it leave requests with an Upgrade field alone"
)

_SWITCHING = "101 Switching Protocols"
_SWITCHING_HEADERS = (("Upgrade", "websocket"), ("Connection", "Upgrade"))
_BODY_FIELDS = frozenset(
    {"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"}
)
"""Of a server's 101, these are ours to say, or say something of a body, which it has none of."""


class Taken(NamedTuple):
    """A connection that was taken from the server.

    Attributes:
        stream: the socket, non-blocking.
        early: bytes that the client sent right behind its handshake.
        head: the answer where the server hasn't sent it; it leaves before the first frame.
    """

    stream: Stream
    early: bytes
    head: bytes = b""


class Taker(Protocol):
    """Waits for a connection to be taken; one of its methods is called, once."""

    def take(self, taken: Taken) -> None:
        """Go on with it: the 101 has left, or is `taken.head`."""

    def give_up(self, answer: bytes) -> None:
        """End: no 101 was sent, but an answer that began with `answer`, or nothing, b""."""


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


class HostSocket(NamedTuple):
    """Where a server keeps the socket of one handshake.

    Attributes:
        sock: a gevent socket: no types there.
        read_ahead: takes what the server has read behind the handshake.
        spy: a test client that observes, None in production; it has no wire for the answer.
        has_input: False where a middleware hides what was read.
        is_prompt: without Nagle's delay: accepted sockets have what gunicorn sets on its listeners.
        answered_by: gevent-websocket's handler where it has sent the 101 already: nothing can be
            refused or agreed on any more.
        seat: our own server's handler, where nobody has asked it for gevent's socket; then `sock`
            is None, and there is nothing to read ahead.
    """

    sock: GeventSocket
    read_ahead: Callable[[], bytes]
    spy: Spy | None = None
    has_input: bool = True
    is_prompt: bool = False
    answered_by: WebSocketHandler | None = None
    seat: Seat | None = None

    def is_taken_at_once(self, start_response: StartResponse) -> bool:
        """Return whether `take_over` takes the connection before it returns, and without a wait."""
        if self.spy is not None or self.answered_by is not None:
            return False
        server, seat = getattr(start_response, "__self__", None), self.seat
        if seat is not None:
            return not seat.is_made and server is seat
        return hasattr(server, "force_close") and _belongs_to(server, self)

    def with_socket(self) -> HostSocket:
        """Return the same place with one of gevent's sockets."""
        return (
            self if self.seat is None else _of_reader(self.seat.rfile, self.seat.socket, self.spy)
        )


def find_place(environ: WSGIEnvironment) -> HostSocket:
    """Find where `take_over` will get the socket, before anything is answered.

    Raises:
        Refused: 501, the server offers no socket, or a middleware hides what has been read from
            it; 500, a middleware asks for the second time, or in another thread.
    """
    body = environ.get("wsgi.input")
    if isinstance(body, OwnInput) and not body.seat.is_made and not is_answered(environ):
        return _place_of(body, spy_of(environ))

    place = _find(environ)
    software = str(environ.get("SERVER_SOFTWARE"))
    if software.startswith("gevent/") if place is None else not place.has_input:
        raise Refused(501, _NEEDS_INPUT, detail=repr(type(environ.get("wsgi.input"))))

    if place is None or not hasattr(place.sock, "_detach_socket"):
        raise Refused(501, _NEEDS, detail=software)

    if isinstance(place.sock._sock, Shell) or Door.stands_before(place.sock):
        raise Refused(500, _NEEDS_ONE_CALL)
    if place.sock.hub.thread_ident != get_ident() and place.answered_by is None:
        raise Refused(500, _NEEDS_ITS_THREAD)

    return place


def is_answered(environ: WSGIEnvironment) -> bool:
    """Return whether gevent-websocket's server has sent its 101 before it asked.

    Then nothing can be refused or agreed on any more.
    """
    return environ.get("wsgi.websocket") is not None


def take_over(
    place: HostSocket, start_response: StartResponse, headers: list[tuple[str, str]], taker: Taker
) -> Iterable[bytes]:
    """Answer 101 and take the socket: now, or as soon as the server writes its answer.

    Args:
        place: as `find_place` gave it for this handshake.
        start_response: the server's, or a middleware's around it.
        headers: of the answer, besides Upgrade and Connection.
        taker: gets the connection.
    Returns:
        What the WSGI application must return.
    Raises:
        OSError: the client has gone while the answer was written.
    """
    headers = [*_SWITCHING_HEADERS, *headers]

    seat = place.seat
    if seat is not None:
        if place.is_taken_at_once(start_response):
            taker.take(seat.take(_head_of(headers)))
            return Answered()
        place = place.with_socket()

    if place.answered_by is not None or place.spy is not None:
        if place.answered_by is not None:
            _tell_apart(place.answered_by)
        start_response(_SWITCHING, headers)  # middlewares, which have a response to wait for
        taker.take(_take(place, b""))
    elif _belongs_to(server := getattr(start_response, "__self__", None), place):
        taker.take(_take(place, _answer(server, start_response, headers)))
    else:
        _wait_for_answer(place, start_response, headers, taker)

    return Answered()


class KeptConnection:
    """A connection that is upgraded, and stays in the server's socket and greenlet until `close`.

    The 101 leaves at once, so fields that a middleware keeps for later are lost.

    Args:
        place: as `find_place` gave it.
        start_response: the server's, or a middleware's around it.
        headers: of the answer, besides Upgrade and Connection.

    Attributes:
        sock: gevent's socket.
        early: bytes that the client sent right behind its handshake.
    """

    # For the client to read what was sent last, before what it still sends resets the connection.
    _LINGER_S = 1.0

    def __init__(
        self, place: HostSocket, start_response: StartResponse, headers: list[tuple[str, str]]
    ) -> None:
        place = place.with_socket()
        self.sock = place.sock
        headers = [*_SWITCHING_HEADERS, *headers]
        if _belongs_to(server := getattr(start_response, "__self__", None), place):
            head = _answer(server, start_response, headers)
        else:
            start_response(_SWITCHING, headers)
            head = _head_of(headers)
        self.early = place.read_ahead()
        self.sock.sendall(head)

    def end(self, frame: bytes) -> None:
        """Send a last frame, and let a reader see the end of the stream."""
        try:
            self.sock.sendall(frame)
            self.sock._sock.shutdown(socket.SHUT_RD)
        except (OSError, ConcurrentObjectUseError):
            pass  # the client has gone, or the application is stuck sending

    def close(self) -> None:
        """Close the connection, and leave the server a shell."""
        sock = self.sock
        try:
            sock._sock.shutdown(socket.SHUT_WR)
            sock.settimeout(self._LINGER_S)
            while sock.recv(65_536):
                pass
        except OSError:
            pass
        _detach(sock, is_prompt=True).close()


def _belongs_to(server: Any, place: HostSocket) -> bool:
    """Return whether a server's object answers on this very socket.

    gunicorn's response has it as `sock`, pywsgi's handler as `socket`.
    """
    return place.sock is getattr(server, "sock", None) or place.sock is getattr(
        server, "socket", None
    )


def _answer(server: Any, start_response: StartResponse, headers: list[tuple[str, str]]) -> bytes:
    """Have the server answer 101; return the bytes that it leaves to us."""
    if hasattr(server, "force_close"):  # gunicorn's
        # What it would note for its access log; the checks of its start_response cost 3 % of a
        # connection, and these headers are our own. It believes that they have left, not to end a
        # chunked body, and that no request follows.
        server.status, server.status_code, server.headers = _SWITCHING, 101, headers
        server.headers_sent, server.chunked = True, False
        server.force_close()
        return _head_of(headers)
    start_response(_SWITCHING, headers)(b"")
    return b""


def _wait_for_answer(
    place: HostSocket, start_response: StartResponse, headers: list[tuple[str, str]], taker: Taker
) -> None:
    """Take the connection when the server writes the 101.

    What stands around the app decides whether and when that happens.
    """

    def switch(head: bytes) -> None:
        taker.take(_take(place, _head_of([*headers, *_added_to(head, headers)])))

    door = Door(place.sock, switch, taker.give_up)
    try:
        start_response(_SWITCHING, headers)
    except BaseException:
        door.remove()
        raise


def _head_of(headers: Iterable[tuple[str, str]]) -> bytes:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    return f"HTTP/1.1 {_SWITCHING}\r\n{lines}\r\n".encode("latin-1")


def _added_to(head: bytes, headers: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Find the fields that middlewares and the server have added to ours.

    gunicorn before 24 announces a chunked body, which is left out.
    """
    ours = _BODY_FIELDS.union(name.lower() for name, _ in headers)
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.lower() not in ours:
            yield name, value.strip()


def _find(environ: WSGIEnvironment) -> HostSocket | None:
    body: Any = environ.get("wsgi.input")  # Any: each server has its own
    spy = spy_of(environ)
    if is_answered(environ):
        handler = environ["wsgi.websocket"].handler
        return HostSocket(
            handler.socket,
            lambda: _take_buffered(handler.rfile, handler.socket),
            spy,
            answered_by=handler,
        )

    if "gunicorn.socket" in environ:
        sock = environ["gunicorn.socket"]
        has_input = hasattr(getattr(body, "reader", None), "unreader")
        return HostSocket(sock, lambda: _take_unread(body), spy, has_input, is_prompt=True)

    # pywsgi hands out its buffered reader for requests that ask for an upgrade.
    sock = getattr(getattr(body, "raw", None), "_sock", None)
    return None if sock is None else _of_reader(body, sock, spy)


def _place_of(body: OwnInput, spy: Spy | None) -> HostSocket:
    """Return the place of a handshake under our own server.

    Raises:
        Refused: 500, a middleware asks for the second time, or in another thread.
    """
    if body.seat.is_taken:
        raise Refused(500, _NEEDS_ONE_CALL)
    if body.thread_ident != get_ident():
        raise Refused(500, _NEEDS_ITS_THREAD)
    return HostSocket(None, bytes, spy, is_prompt=True, seat=body.seat)


def _of_reader(reader: Any, sock: GeventSocket, spy: Spy | None) -> HostSocket:
    return HostSocket(sock, lambda: _take_buffered(reader, sock), spy)


def _tell_apart(handler: WebSocketHandler) -> None:
    """Give each client of a UNIX socket a name of its own.

    gevent-websocket keys its clients by address, and theirs is empty. While the app waits for
    one's `auth`, the next would take its entry, which is then missing.
    """
    if not handler.client_address:
        clients = handler.server.clients
        client = clients.pop(handler.client_address, None)
        handler.client_address = f"unix:{id(handler)}"
        clients[handler.client_address] = client


def _take_unread(body: Any) -> bytes:
    """Empty the buffer of gunicorn's request parser."""
    buffer = body.reader.unreader.buf
    data: bytes = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return data


def _take_buffered(reader: io.BufferedReader, sock: GeventSocket) -> bytes:
    """Empty pywsgi's BufferedReader; with nothing in it, `peek` reads once, and must not wait."""
    timeout = sock.gettimeout()
    sock.settimeout(0)

    try:
        data: bytes = reader.read(len(reader.peek(1)))
    except (BlockingIOError, ssl.SSLWantReadError):
        data = b""
    except OSError:
        data = b""  # the peer has gone; the transport will find out
    finally:
        sock.settimeout(timeout)
    return data


def _take(place: HostSocket, head: bytes) -> Taken:
    early = place.read_ahead()
    return Taken(_detach(place.sock, place.is_prompt), early, head)


def _detach(sock: GeventSocket, is_prompt: bool) -> Stream:
    """Leave the server a shell in its gevent socket, and give what was inside."""
    session = getattr(sock, "_sslobj", None)
    raw = sock._sock
    if session is not None:
        sock._sslobj = None

    sock._closed = True
    sock._detach_socket("detached")
    sock._sock = Shell(raw)

    if raw.gettimeout() != 0:  # it is 0 within gevent's sockets; saying so again is a system call
        raw.setblocking(False)
    if not is_prompt:
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            pass  # a UNIX socket has no such delay
    return raw if session is None else tls_stream(raw, session)
