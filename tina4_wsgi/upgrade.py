"""Taking a connection away from the WSGI server that accepted it.

The answer goes through `start_response`, so the server logs it like any other; then the socket is detached from the
object that the server holds, together with the bytes that were read behind the handshake. What the server does
afterwards, it does to an empty shell. Where the server lets us, we write the answer's bytes ourselves: they leave in
one packet with what "open" sends, and that saves a seventh of a connection's whole cost under gunicorn.

An editor keeps true: detach, never `dup()` (pywsgi reads from its own descriptor once more and eats frames);
recover what was read ahead; touch private attributes of gevent and gunicorn in this module only.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from .errors import Refused
from .stream import Stream, TLSStream

_NEEDS = (
    "this server can't hand over its sockets; run it under `tina4-wsgi serve`, `gunicorn -k gevent` "
    "or a gevent.pywsgi server"
)
_NEEDS_INPUT = (
    "a middleware around this app has replaced wsgi.input, which holds what the client sent behind its handshake; "
    "let it leave requests with an Upgrade field alone"
)


_SWITCHING = "101 Switching Protocols"
_SWITCHING_HEADERS = (("Upgrade", "websocket"), ("Connection", "Upgrade"))


class Taken(NamedTuple):
    """A connection that is the server's no more.

    Attributes:
        stream: the socket, non-blocking.
        early: bytes that the client sent right behind its handshake.
        result: what the WSGI application must return.
        head: the answer where the server hasn't sent it; it leaves before the first frame.
    """

    stream: Stream
    early: bytes
    result: Iterable[bytes]
    head: bytes = b""


class _LeaveQuietly:
    """What makes a gunicorn worker write its access line and then leave the connection alone.

    gunicorn's async workers end their keep-alive loop on StopIteration only, and look for it also around
    `close()` of the response; anything else has them parse what follows as another request.
    """

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None:
        raise StopIteration


class Place(NamedTuple):
    """Where a server keeps the socket, and how to get at what it has read ahead."""

    sock: Any  # a gevent socket: no types there
    read_ahead: Callable[[], bytes]
    result: Iterable[bytes]
    has_input: bool = True
    is_prompt: bool = False  # without Nagle's delay: accepted sockets have what gunicorn sets on its listeners


def find_place(environ: dict[str, Any]) -> Place:
    """Say where `take_over` will find the socket, before anything is answered.

    Raises:
        Refused: 501, the server offers no socket, or a middleware hides what has been read from it.
    """
    place = _find(environ)
    software = str(environ.get("SERVER_SOFTWARE"))
    if software.startswith("gevent/") if place is None else not place.has_input:
        raise Refused(501, _NEEDS_INPUT, detail=repr(type(environ.get("wsgi.input"))))
    if place is None or not hasattr(place.sock, "_detach_socket"):
        raise Refused(501, _NEEDS, detail=software)
    return place


def is_answered(environ: dict[str, Any]) -> bool:
    """Say whether the server has sent its 101 before it asked: nothing can be refused or agreed on any more."""
    return environ.get("wsgi.websocket") is not None


def take_over(
    place: Place, environ: dict[str, Any], start_response: Any, headers: list[tuple[str, str]]
) -> Taken:
    """Answer 101 and take the socket.

    Args:
        place: as `find_place` gave it for this handshake.
        environ: the checked handshake.
        start_response: the server's, or a middleware's around it.
        headers: of the answer, besides Upgrade and Connection.
    Raises:
        OSError: the client has gone while the answer was written.
    """
    if is_answered(environ):
        _tell_apart(environ["wsgi.websocket"].handler)
        head = b""
    else:
        head = _answer(start_response, [*_SWITCHING_HEADERS, *headers])
    early = place.read_ahead()
    return Taken(_detach(place.sock, place.is_prompt), early, place.result, head)


def _answer(start_response: Any, headers: list[tuple[str, str]]) -> bytes:
    """Have the server answer 101; give the bytes that it leaves to us."""
    response: Any = getattr(start_response, "__self__", None)  # none behind a middleware that has a start_response
    if hasattr(response, "headers_sent") and hasattr(response, "chunked"):  # gunicorn's
        # What it would note for its access log; the checks of its start_response cost 3 % of a connection, and these
        # headers are our own. It believes that they have left, and not to end a chunked body.
        response.status, response.status_code, response.headers = _SWITCHING, 101, headers
        response.headers_sent, response.chunked = True, False
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
        return f"HTTP/1.1 {_SWITCHING}\r\n{lines}\r\n".encode("latin-1")
    write = start_response(_SWITCHING, headers)
    behind: Any = getattr(write, "__self__", None)
    if hasattr(behind, "chunked"):  # a middleware wrapped the one and handed the other through
        behind.chunked = False  # gunicorn before 24 would announce a chunked body in the 101
    write(b"")
    return b""


def _find(environ: dict[str, Any]) -> Place | None:
    body = environ.get("wsgi.input")
    if is_answered(environ):  # by gevent-websocket
        handler = environ["wsgi.websocket"].handler
        return Place(handler.socket, lambda: _take_buffered(handler.rfile, handler.socket), [])
    if "gunicorn.socket" in environ:
        sock = environ["gunicorn.socket"]
        has_input = hasattr(getattr(body, "reader", None), "unreader")
        return Place(sock, lambda: _take_unread(body), _LeaveQuietly(), has_input, True)
    sock = getattr(getattr(body, "raw", None), "_sock", None)
    if sock is not None:  # pywsgi hands out its buffered reader for requests that ask for an upgrade
        return Place(sock, lambda: _take_buffered(body, sock), [])
    return None


def _tell_apart(handler: Any) -> None:
    """Give a client of a UNIX socket a name: gevent-websocket keys its clients by address, and theirs is empty.

    The handler of the first one stays as guardian; without this its entry is taken by the next, and then missing.
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


def _take_buffered(reader: Any, sock: Any) -> bytes:
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


def _detach(sock: Any, is_prompt: bool) -> Stream:
    """Leave the server a closed shell of its gevent socket, and give what was inside."""
    session = getattr(sock, "_sslobj", None)
    raw = sock._sock
    if session is not None:
        sock._sslobj = None
    sock._closed = True
    sock._detach_socket("detached")
    if raw.gettimeout() != 0:  # it is 0 within gevent's sockets; saying so again is a system call
        raw.setblocking(False)
    if not is_prompt:
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            pass  # a UNIX socket has no such delay
    return raw if session is None else TLSStream(raw, session)
