"""The places of sockets under our own server, gunicorn and gevent-websocket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import Refused
from ..hub.native import get_ident
from .place import NEEDS_ITS_THREAD, NEEDS_ONE_CALL, Place
from .switching import SWITCHING, head_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from geventwebsocket.handler import WebSocketHandler

    from .own_input import OwnInput
    from .switching import Fields, Taken


class OwnPlace(Place):
    """Under our own server, where nobody has asked it for a socket object.

    Args:
        body: our server's `wsgi.input`.
    """

    is_native = False

    def __init__(self, body: OwnInput) -> None:
        self._input = body
        self._seat = body.seat

    def check(self, software: str) -> None:
        """See whether the connection can be taken: once, and in its server's thread.

        Raises:
            Refused: 500, a middleware asks for the second time, or in another thread.
        """
        if self._seat.is_taken:
            raise Refused(500, NEEDS_ONE_CALL)
        if self._input.thread_ident != get_ident():
            raise Refused(500, NEEDS_ITS_THREAD)

    def is_taken_at_once(self, start_response: StartResponse) -> bool:
        """Return whether our server answers, and nothing around the app does."""
        return self.spy is None and self.is_servers_own(start_response)

    def with_socket(self) -> Place:
        """Have our server make a socket object, and return the place of that."""
        place = Place(self._seat.socket, self._seat.rfile)
        place.spy = self.spy
        return place

    def is_servers_own(self, start_response: StartResponse) -> bool:
        """Return whether this is our server's, and its socket has not become an object."""
        is_seats = getattr(start_response, "__self__", None) is self._seat
        return is_seats and not self._seat.is_made

    def answer(self, start_response: StartResponse, fields: Fields) -> bytes:
        """Leave the whole answer to whoever takes the connection."""
        return head_of(fields)

    def take(self, head: bytes) -> Taken:
        """Take the seat; our server leaves it without a shell."""
        return self._seat.take(head)


class GunicornPlace(Place):
    """Under gunicorn's workers, gevent's and native ones."""

    _is_prompt = True  # accepted sockets have what gunicorn sets on its listeners

    def is_taken_at_once(self, start_response: StartResponse) -> bool:
        """Return whether a gevent worker answers, and nothing around the app does."""
        # A native worker leaves the connection to another thread.
        return not self.is_native and self.spy is None and self.is_servers_own(start_response)

    def answer(self, start_response: StartResponse, fields: Fields) -> bytes:
        """Note in gunicorn's response that it has answered 101, and leave the bytes to us."""
        # What gunicorn would note for its access log; the checks of its start_response cost 3 % of
        # a connection, and these fields are our own. It believes that they have left, not to end a
        # chunked body, and that no request follows.
        response: Any = start_response.__self__  # type: ignore[attr-defined]
        response.status, response.status_code, response.headers = SWITCHING, 101, fields
        response.headers_sent, response.chunked = True, False
        response.force_close()
        return head_of(fields)

    def read_ahead(self) -> bytes:
        """Take what gunicorn's parser has read behind the handshake."""
        buffer = self._body.reader.unreader.buf
        data: bytes = buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        return data

    def _hides_input(self) -> bool:
        return not hasattr(getattr(self._body, "reader", None), "unreader")


class GeventWebSocketPlace(Place):
    """Under gevent-websocket's handler, which has sent the 101 already."""

    has_answered = True

    def __init__(self, handler: WebSocketHandler) -> None:
        super().__init__(handler.socket, handler.rfile)
        self._handler = handler

    def take(self, head: bytes) -> Taken:
        """Take the connection, once its server has an entry of its own for this client."""
        self._tell_apart()
        return super().take(head)

    def _is_elsewhere(self) -> bool:
        return False

    def _tell_apart(self) -> None:
        """Give each client of a UNIX socket a name of its own.

        gevent-websocket keys its clients by address, and theirs is empty. While the app waits for
        one's `auth`, the next would take its entry, which is then missing.
        """
        handler = self._handler
        if not handler.client_address:
            clients = handler.server.clients
            client = clients.pop(handler.client_address, None)
            handler.client_address = f"unix:{id(handler)}"
            clients[handler.client_address] = client
