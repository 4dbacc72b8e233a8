"""A WebSocket client that knows nothing: literal bytes out, literal bytes in.

It shares no code with the package, so that an error in our frames can't hide itself. Any socket
will do: a plain one against a server in another process, a gevent one against a server in this
process.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import socket
import struct
from collections.abc import Iterable
from typing import NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
MASK = b"\x01\x02\x03\x04"

ANSWER_S = 10.0
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3

GUNICORNS_OWN_REFUSAL = re.compile(
    rb"HTTP/1\.1 \d+ [^\r]*\r\nConnection: close\r\nContent-Type: text/html\r\nContent-Length: \d+\r\n(?=\n)"
)
"""Its empty line is a lone LF, which a reader may take for one (RFC 9112 §2.2), from Python 3.14
on.

`textwrap.dedent`, which gunicorn lays out its text with, takes the CR away there.
"""


class Frame(NamedTuple):
    """One frame as it came: `first` is the whole first byte, so flags can be asserted too."""

    first: int
    payload: bytes

    @property
    def opcode(self) -> int:
        """The low four bits of the first byte."""
        return self.first & 0x0F

    @property
    def close_code(self) -> int:
        """What a close frame says; 1005 when it says nothing."""
        return struct.unpack("!H", self.payload[:2])[0] if self.payload else 1005


class Head(NamedTuple):
    """The head of an HTTP answer; names of fields are in lower case."""

    status: int
    headers: dict[str, str]


def request_head(path: str, host: str, key: str, fields: Iterable[tuple[str, str]] = ()) -> bytes:
    """Lay out an upgrade request; `fields` replace those of the same name, a value of "" leaves one
    out.
    """
    wanted = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
    }
    wanted.update(fields)
    lines = [f"{name}: {value}" for name, value in wanted.items() if value]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode("latin-1")


def client_frame(
    opcode: int, payload: bytes = b"", *, mask: bytes = MASK, fin: bool = True
) -> bytes:
    """Lay out a masked frame, as a client sends it; `mask=b""` leaves it unmasked, which is
    illegal.
    """
    masked = 0x80 if mask else 0
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", (fin << 7) | opcode, masked | length)
    elif length < 1 << 16:
        head = struct.pack("!BBH", (fin << 7) | opcode, masked | 126, length)
    else:
        head = struct.pack("!BBQ", (fin << 7) | opcode, masked | 127, length)
    if not mask:
        return head + payload
    pad = (mask * (length // 4 + 1))[:length]
    body = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
    return head + mask + body.to_bytes(length, "big")


class RawClient:
    """One connection, over a connected socket that it owns from now on."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._received = bytearray()

    @classmethod
    def dial(cls, address: tuple[str, int], timeout_s: float = ANSWER_S) -> RawClient:
        """Connect a plain socket; every later wait is bounded by `timeout_s`."""
        return cls(socket.create_connection(address, timeout_s))

    @classmethod
    def open(
        cls, address: tuple[str, int], path: str, fields: Iterable[tuple[str, str]] = ()
    ) -> RawClient:
        """Connect and upgrade; anything but a correct 101 is an AssertionError."""
        client = cls.dial(address)
        try:
            client.upgrade(path, fields)
        except BaseException:
            client.close()
            raise
        return client

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def upgrade(self, path: str, fields: Iterable[tuple[str, str]] = ()) -> Head:
        """Make the handshake and check the answer (RFC 6455 §4.1)."""
        key = base64.b64encode(os.urandom(16)).decode()
        head = self.ask_upgrade(path, key, fields)
        accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()
        assert head.status == 101, f"expected 101, got {head.status}: {bytes(self._received)!r}"
        assert head.headers.get("sec-websocket-accept") == accept
        return head

    def ask_upgrade(self, path: str, key: str, fields: Iterable[tuple[str, str]] = ()) -> Head:
        """Send an upgrade request and give whatever head comes back."""
        host, port = self.socket.getpeername()[:2]
        self.send_bytes(request_head(path, f"{host}:{port}", key, fields))
        return self.read_head()

    def send_bytes(self, data: bytes) -> None:
        """Send exactly these bytes."""
        self.socket.sendall(data)

    def send_frame(self, opcode: int, payload: bytes = b"", **shape: bytes | bool) -> None:
        """Send one frame; see `client_frame`."""
        self.send_bytes(client_frame(opcode, payload, **shape))  # type: ignore[arg-type]

    def send_text(self, text: str) -> None:
        """Send a text message in one frame."""
        self.send_frame(TEXT, text.encode())

    def send_close(self, code: int = 1000, reason: bytes = b"") -> None:
        """Send a close frame."""
        self.send_frame(CLOSE, struct.pack("!H", code) + reason)

    def read_head(self) -> Head:
        """Read up to the empty line after the header fields; what follows stays for
        `read_frame`.
        """
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            if sloppy := GUNICORNS_OWN_REFUSAL.match(self._received):
                self._received[sloppy.end() : sloppy.end()] = b"\r"
            else:
                self._receive()
        first, *lines = bytes(self._received[:end]).decode("latin-1").split("\r\n")
        del self._received[: end + 4]
        fields = (line.split(":", 1) for line in lines)
        return Head(
            int(first.split()[1]), {name.strip().lower(): value.strip() for name, value in fields}
        )

    def read_frame(self) -> Frame:
        """Read one frame; a masked one is an AssertionError, since a server never masks (§5.1)."""
        first, length = self.read_exactly(2)
        assert length < 0x80, "the server sent a masked frame"
        if length == 126:
            (length,) = struct.unpack("!H", self.read_exactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self.read_exactly(8))
        return Frame(first, self.read_exactly(length))

    def read_text(self) -> str:
        """Read one frame, which must be a whole text message."""
        frame = self.read_frame()
        assert frame.first == 0x80 | TEXT, f"expected a text message, got {frame!r}"
        return frame.payload.decode()

    def read_close(self) -> int:
        """Read one frame, which must be a close frame, and give its code."""
        frame = self.read_frame()
        assert frame.first == 0x80 | CLOSE, f"expected a close frame, got {frame!r}"
        return frame.close_code

    def read_exactly(self, count: int) -> bytes:
        """Read so many bytes; ConnectionError when the stream ends before."""
        while len(self._received) < count:
            self._receive()
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    def read_to_end(self) -> bytes:
        """Read until the server closes the stream; a reset counts as an end."""
        try:
            while True:
                self._receive()
        except ConnectionError:
            taken = bytes(self._received)
            self._received.clear()
            return taken

    def reset(self) -> None:
        """End the connection with an RST: no close frame, no FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """Close the socket, without a close frame."""
        self.socket.close()

    def _receive(self) -> None:
        data = self.socket.recv(65_536)
        if not data:
            raise ConnectionError(f"the stream ended; read so far: {bytes(self._received)!r}")
        self._received += data
