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
touched in the modules of this folder only.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from gevent.exceptions import ConcurrentObjectUseError

from ..errors import Refused
from ..spy import spy_of
from . import native_places, socket_shell, uwsgi
from .native_places import ReaderPlace, WaitressPlace, WerkzeugPlace
from .own_input import OwnInput
from .place import NEEDS, NEEDS_INPUT, Place
from .places import GeventWebSocketPlace, GunicornPlace, OwnPlace
from .switching import SWITCHING, UPGRADE, Answered, added_to, head_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from .switching import Fields, Taker

_NEED_INPUT = ("gevent/", "WSGIServer/")
"""Servers, by SERVER_SOFTWARE, whose socket is found through wsgi.input alone."""


def find_place(environ: WSGIEnvironment) -> Place:
    """Find where `take_over` will get the socket, before anything is answered.

    Raises:
        Refused: 501, the server offers no socket; otherwise as `Place.check`.
    """
    place = _find(environ)
    software = str(environ.get("SERVER_SOFTWARE"))
    if place is None and software.startswith(_NEED_INPUT):
        raise Refused(501, NEEDS_INPUT, detail=repr(type(environ.get("wsgi.input"))))
    if place is None:
        raise Refused(501, NEEDS, detail=software)

    place.check(software)
    return place


def is_native(environ: WSGIEnvironment) -> bool:
    """Return whether a request, which need not be an upgrade, runs without a hub."""
    place = _find(environ)
    return place is not None and place.is_native


def is_answered(environ: WSGIEnvironment) -> bool:
    """Return whether gevent-websocket's server has sent its 101 before it asked.

    Then nothing can be refused or agreed on any more.
    """
    return environ.get("wsgi.websocket") is not None


def take_over(
    place: Place, start_response: StartResponse, headers: Fields, taker: Taker
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
    fields = [*UPGRADE, *headers]
    is_servers_own = place.is_servers_own(start_response)
    if place.spy is not None or not is_servers_own:
        place = place.with_socket()
        is_servers_own = place.is_servers_own(start_response)

    if place.spy is not None or place.has_answered:
        start_response(SWITCHING, fields)  # middlewares, which have a response to wait for
        taker.take(place.take(b""))
    elif is_servers_own:
        taker.take(place.take(place.answer(start_response, fields)))
    else:
        _wait_for_answer(place, start_response, fields, taker)

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
        self, place: Place, start_response: StartResponse, headers: list[tuple[str, str]]
    ) -> None:
        place = place.with_socket()
        self.sock = place.sock
        fields = [*UPGRADE, *headers]
        if place.is_servers_own(start_response):
            head = place.answer(start_response, fields)
        else:
            start_response(SWITCHING, fields)
            head = head_of(fields)
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
        socket_shell.detach(sock, is_prompt=True).close()


def _wait_for_answer(
    place: Place, start_response: StartResponse, fields: Fields, taker: Taker
) -> None:
    """Take the connection when the server writes the 101.

    What stands around the app decides whether and when that happens.
    """

    def switch(head: bytes) -> None:
        taker.take(place.take(head_of([*fields, *added_to(fields, head)])))

    def give_up(answer: bytes) -> None:
        taker.give_up(answer, _maker_of(start_response))

    remove = place.place_door(switch, give_up)
    try:
        start_response(SWITCHING, fields if place.takes_upgrade else fields[len(UPGRADE) :])
    except BaseException:
        remove()
        raise


def _maker_of(start_response: StartResponse) -> str:
    """Name what has put this function in the place of the server's, as "shop.guard.Guard"."""
    function = getattr(start_response, "__func__", start_response)  # of a bound method
    if not hasattr(function, "__qualname__"):
        function = type(function)
    name = function.__qualname__.partition(".<locals>")[0].removesuffix(".__call__")
    return f"{function.__module__}.{name}"


def _find(environ: WSGIEnvironment) -> Place | None:
    body = environ.get("wsgi.input")
    place = _kind(environ, body)
    if place is not None:
        place.spy = spy_of(environ)
    return place


def _kind(environ: WSGIEnvironment, body: object) -> Place | None:
    if is_answered(environ):
        return GeventWebSocketPlace(environ["wsgi.websocket"].handler)
    if isinstance(body, OwnInput) and not body.seat.is_made:
        return OwnPlace(body)
    if "gunicorn.socket" in environ:
        return GunicornPlace(environ["gunicorn.socket"], body)
    if uwsgi.is_host(environ):
        return uwsgi.UwsgiPlace(environ)
    if (channel := native_places.waitress_channel(environ)) is not None:
        return WaitressPlace(channel)

    reader = native_places.reader_behind(body)
    if "werkzeug.socket" in environ:
        return WerkzeugPlace(environ, reader)
    sock = native_places.socket_behind(reader)
    if sock is None:
        return None
    # pywsgi hands out its buffered reader for requests that ask for an upgrade; it takes what
    # wsgiref refuses, and so may whatever was made of that.
    is_pywsgi = str(environ.get("SERVER_SOFTWARE")).startswith("gevent/")
    return Place(sock, reader) if is_pywsgi else ReaderPlace(sock, reader)
