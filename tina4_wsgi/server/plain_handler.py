"""The requests of one connection without TLS, whose heads have been read before.

Most requests and responses fit in one read and one write, so nothing here makes one of gevent's
sockets until somebody has to wait: for a body, for a client that takes its response slowly, or for
an application that reads and writes on its own.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Protocol

from gevent import socket as gevent_socket

from ..hosting.own_input import OwnInput
from ..hub.syscalls import BROKEN, send
from .handler import Handler
from .request_body import RequestBody
from .wire import PeerGone, RequestReader, say_goodbye

if TYPE_CHECKING:
    from ..hosting.switching import Taken
    from .handler import HandlerServer
    from .listening import SocketAddress
    from .request_head import RequestHead

_BUFFER_BYTES = 8_192


class Line(Protocol):
    """A connection as its handler sees it.

    Attributes:
        address: the client's.
        family, descriptor: of the socket.
        early: bytes that have been received, and not been used yet.
    """

    address: SocketAddress
    family: int
    descriptor: int
    early: bytes

    def keep_still(self) -> None:
        """Don't watch the descriptor until the request is done."""

    def part(self, head: bytes) -> Taken:
        """Give the socket away, with an answer that is not sent yet."""

    def close(self, *, drops: bool) -> None:
        """Close the socket.

        Args:
            drops: whether to reset the connection rather than read what has come meanwhile.
        """


class PlainHandler(Handler):
    """Answers the requests of one connection, each in the greenlet that calls `answer`.

    Args:
        line: the connection.
        server: its server.
    """

    _wire: gevent_socket.socket | None = None
    _reader: RequestReader | None = None
    _rfile: io.BufferedReader | None = None
    _in_hand: io.BytesIO | None = None
    is_taken = False

    def __init__(self, line: Line, server: HandlerServer) -> None:
        self._line = line
        self.server = server
        # gevent-websocket keys clients by address, and all clients of a UNIX socket have "".
        self.client_address = line.address or f"unix:{line.descriptor}"

    # What gevent-websocket and applications find here, made when they ask for it.

    @property
    def socket(self) -> gevent_socket.socket:
        """The socket, as one of gevent's."""
        wire = self._wire
        if wire is None:
            line = self._line
            line.keep_still()
            wire = self._wire = gevent_socket.socket(
                line.family, gevent_socket.SOCK_STREAM, 0, fileno=line.descriptor
            )
        return wire

    @property
    def reader(self) -> RequestReader:  # type: ignore[override]  # read only
        """The raw side of `rfile`."""
        reader = self._reader
        if reader is None:
            line = self._line
            line.keep_still()
            early, line.early = line.early, b""
            reader = self._reader = RequestReader(self.socket, early)
            # As large as what is there: whoever takes the connection over empties it at once.
            self._rfile = io.BufferedReader(reader, max(_BUFFER_BYTES, len(early)))
        return reader

    @property
    def rfile(self) -> io.BufferedReader:
        """What the client has sent and sends."""
        if self._rfile is None:
            assert self.reader is not None
        assert self._rfile is not None
        return self._rfile

    @property
    def has_socket(self) -> bool:
        """Whether `socket` exists, and closes the descriptor."""
        return self._wire is not None

    @property
    def is_gone(self) -> bool:
        """Whether somebody has closed the socket, or taken it."""
        wire = self._wire
        return self.is_taken or (wire is not None and wire.fileno() < 0)

    @property
    def is_made(self) -> bool:
        """Whether `rfile` exists."""
        return self._rfile is not None

    def take(self, head: bytes) -> Taken:
        """Give the socket away, and note that its 101 has been answered; see `OwnInput`."""
        self.status, self.code = b"101 Switching Protocols", 101
        self.headers_sent = self.close_connection = self.is_taken = True
        if self._wire is not None:
            # An earlier request has needed it; it must not close the descriptor.
            self._wire.detach()
            self._wire = None
        return self._line.part(head)

    # Reading

    def _make_input(self, head: RequestHead) -> RequestBody | io.BufferedReader | OwnInput:
        if head.wants_websocket:
            self.wsgi_input = None
            return OwnInput(self)
        if not head.is_chunked and not head.content_length:
            self.wsgi_input = RequestBody(_NOTHING, 0, False)
            return self.wsgi_input

        line = self._line
        stream: io.BufferedIOBase
        if head.content_length is not None and head.content_length <= len(line.early):
            stream = self._in_hand = io.BytesIO(line.early)
            line.early = b""
        else:
            stream = self.rfile
            config = self.server.config
            self.reader.await_body(config.handshake_timeout_s, config.body_timeout_s)
        ask = self._ask_for_body if head.expects_continue else None
        self.wsgi_input = RequestBody(stream, head.content_length, head.is_chunked, ask)
        return self.wsgi_input

    def give_back(self) -> None:
        """Leave the line what was read behind the request; see `Line.early`."""
        if self._in_hand is not None:
            self._line.early = self._in_hand.read()
            self._in_hand = None
        elif self._rfile is not None:
            self._line.early = self._read_ahead() + self.reader.give_back()
            self._rfile.detach()
            self._rfile = self._reader = None

    def _read_ahead(self) -> bytes:
        wire = self.socket
        wire.timeout = 0.0
        try:
            return self.rfile.read(len(self.rfile.peek(1)))
        except OSError:
            return b""  # nothing is there, or the next read finds out
        finally:
            wire.timeout = None

    def _lift_deadline(self) -> None:
        pass  # a socket that is made for this upgrade has none

    # Writing

    def _send(self, data: bytes) -> None:
        if self._wire is None:
            if not isinstance(data, bytes):
                data = bytes(data)
            sent = send(self._line.descriptor, data)
            if sent == len(data):
                return
            if sent == BROKEN:
                raise PeerGone("the connection is broken")
            data = data[max(sent, 0) :]
        super()._send(data)

    def hang_up(self, was_killed: bool) -> None:
        """Close the connection; see `Handler.hang_up`."""
        if self.is_taken:
            return
        if self._wire is None and (was_killed or not self._has_to_linger):
            self._line.close(drops=was_killed)
            return

        wire = self.socket
        if not was_killed and wire.fileno() >= 0:
            say_goodbye(wire, self._has_to_linger)
        if self._rfile is not None:
            self._rfile.close()
        wire.close()


_NOTHING = io.BytesIO()
