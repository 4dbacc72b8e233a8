"""Clients that other people wrote, `websockets` and `wsproto`, without a socket: bytes out, bytes
in.

What our own test client gets wrong in the same way as our server would never show; with these it
does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import websockets.client
import wsproto
import wsproto.events
import wsproto.extensions
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Opcode
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from tests.support.splits import cut_at

HOST, PATH = "server.example.com", "/chat"


class Answer(NamedTuple):
    """What a client heard from the server."""

    messages: list[str | bytes]
    pongs: list[bytes]
    close: tuple[int, str] | None


class Client(Protocol):
    """A client before and after its handshake."""

    def request(self) -> bytes:
        """Give the head of the upgrade request."""

    def open(self, response: bytes) -> None:
        """Take the head of the answer; raises if the client doesn't like it."""

    def say(self, message: str | bytes, places: Sequence[int], pings: Sequence[bytes]) -> bytes:
        """Lay out a message, cut at `places`, with a ping behind each fragment while there are
        pings.
        """

    def close(self, code: int, reason: str) -> bytes:
        """Lay out a close frame."""

    def hear(self, parts: Sequence[bytes]) -> Answer:
        """Take the server's bytes."""

    def answers(self) -> bytes:
        """Give what the client sends by itself."""


class WebsocketsClient:
    """The sans-I/O client of `websockets`."""

    def __init__(self, deflate: bool = False, subprotocols: Sequence[str] = ()) -> None:
        self._protocol = websockets.client.ClientProtocol(
            parse_uri(f"ws://{HOST}{PATH}"),
            extensions=[ClientPerMessageDeflateFactory(client_max_window_bits=True)]
            if deflate
            else None,
            subprotocols=[Subprotocol(name) for name in subprotocols] or None,
        )

    def request(self) -> bytes:
        self._protocol.send_request(self._protocol.connect())
        return self.answers()

    def open(self, response: bytes) -> None:
        self._protocol.receive_data(response)
        self._protocol.events_received()
        if self._protocol.handshake_exc is not None:
            raise self._protocol.handshake_exc

    def say(self, message: str | bytes, places: Sequence[int], pings: Sequence[bytes]) -> bytes:
        protocol, waiting = self._protocol, list(pings)
        send: Any = protocol.send_text if isinstance(message, str) else protocol.send_binary
        fragments = cut_at(message.encode() if isinstance(message, str) else message, places)
        for number, fragment in enumerate(fragments, 1):
            send(fragment, fin=number == len(fragments))
            send = protocol.send_continuation
            if waiting:
                protocol.send_ping(waiting.pop(0))
        return self.answers()

    def close(self, code: int, reason: str) -> bytes:
        self._protocol.send_close(code, reason)
        return self.answers()

    def hear(self, parts: Sequence[bytes]) -> Answer:
        for part in parts:
            self._protocol.receive_data(part)
        if self._protocol.parser_exc is not None:
            raise self._protocol.parser_exc
        messages: list[str | bytes] = []
        pongs = []
        for frame in self._protocol.events_received():
            if frame.opcode is Opcode.TEXT:
                messages.append(frame.data.decode())
            elif frame.opcode is Opcode.BINARY:
                messages.append(bytes(frame.data))
            elif frame.opcode is Opcode.PONG:
                pongs.append(bytes(frame.data))
        received = self._protocol.close_rcvd
        return Answer(
            messages, pongs, None if received is None else (received.code, received.reason)
        )

    def answers(self) -> bytes:
        return b"".join(self._protocol.data_to_send())


class WsprotoClient:
    """The client of `wsproto`. It cuts text between characters only."""

    def __init__(self, deflate: bool = False, subprotocols: Sequence[str] = ()) -> None:
        self._connection = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self._request = wsproto.events.Request(
            host=HOST,
            target=PATH,
            extensions=[wsproto.extensions.PerMessageDeflate()] if deflate else [],
            subprotocols=list(subprotocols),
        )
        self._answers = b""

    def request(self) -> bytes:
        return self._connection.send(self._request)

    def open(self, response: bytes) -> None:
        self._connection.receive_data(response)
        (accepted,) = self._connection.events()
        assert isinstance(accepted, wsproto.events.AcceptConnection)

    def say(self, message: str | bytes, places: Sequence[int], pings: Sequence[bytes]) -> bytes:
        sent, waiting = b"", list(pings)
        make: Any = (
            wsproto.events.TextMessage if isinstance(message, str) else wsproto.events.BytesMessage
        )
        fragments = cut_at(message, places)
        for number, fragment in enumerate(fragments, 1):
            sent += self._connection.send(
                make(data=fragment, message_finished=number == len(fragments))
            )
            if waiting:
                sent += self._connection.send(wsproto.events.Ping(payload=waiting.pop(0)))
        return sent

    def close(self, code: int, reason: str) -> bytes:
        return self._connection.send(wsproto.events.CloseConnection(code=code, reason=reason))

    def hear(self, parts: Sequence[bytes]) -> Answer:
        messages: list[str | bytes] = []
        pongs, close, pieces = [], None, []
        for part in filter(None, parts):  # it minds even nothing behind a close frame
            self._connection.receive_data(part)
            for event in self._connection.events():
                if isinstance(event, wsproto.events.Message):
                    pieces.append(event.data)
                    if event.message_finished:
                        whole = "" if isinstance(event, wsproto.events.TextMessage) else b""
                        messages.append(whole.join(map(type(whole), pieces)))
                        pieces = []
                elif isinstance(event, wsproto.events.Pong):
                    pongs.append(bytes(event.payload))
                elif isinstance(event, wsproto.events.CloseConnection):
                    close = (int(event.code), event.reason or "")
                    if self._connection.state is wsproto.connection.ConnectionState.REMOTE_CLOSING:
                        self._answers += self._connection.send(event.response())
        return Answer(messages, pongs, close)

    def answers(self) -> bytes:
        answers, self._answers = self._answers, b""
        return answers
