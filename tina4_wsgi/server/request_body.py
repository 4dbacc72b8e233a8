"""The body of a request, as `wsgi.input` under our own server (RFC 9112 §6 and §7.1).

It knows where the body ends, so an application can't read into the next request. A body that is cut
short, stalls or is malformed raises `BodyError`, once and then on every read: after that nobody
knows where the next request would begin, and the connection is closed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn

from ..errors import Refused
from .request_head import parse_field

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterator

MAX_CHUNK_LINE_BYTES = 256
"""The size takes 16; the RFC allows extensions, which nobody uses."""

MAX_TRAILERS = 32
"""They are dropped; nobody sends more than a checksum or two."""

READ_BLOCK_BYTES = 65_536
"""Most bytes read at once: an announced length is no reason to reserve that much memory."""

MAX_DISCARD_BYTES = 262_144
"""Up to here, reading and dropping a body is cheaper than a new connection."""

_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")


class BodyError(OSError):
    """The client's fault that the body can't be read to its end.

    It is an OSError, which WSGI applications expect when a client has gone away.

    Attributes:
        status: of the response, if none has been sent yet: 400 or 408.
        message: one constant line for the response and the log.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class RequestBody:
    """Reads one body from the connection's buffered reader.

    Greenlets: one at a time. Reads wait for the client, within the deadlines of `rfile`.
    """

    __slots__ = ("_ask_for_body", "_chunked", "_failure", "_left", "_rfile")

    def __init__(
        self,
        rfile: io.BufferedIOBase,
        content_length: int | None,
        chunked: bool,
        ask_for_body: Callable[[], None] | None = None,
    ) -> None:
        """Read from `rfile`; `ask_for_body` sends "100 Continue" before the first read."""
        self._rfile = rfile
        self._left = content_length or 0  # of the body, or of the current chunk
        self._chunked = chunked  # and its last chunk has not been read

        self._ask_for_body = ask_for_body
        self._failure: BodyError | None = None

    @property
    def is_at_end(self) -> bool:
        """Whether the whole body has been read from the connection."""
        return not self._left and not self._chunked and self._failure is None

    @property
    def is_worth_discarding(self) -> bool:
        """Whether reading and dropping the rest of the body is worth keeping the connection."""
        if self._failure is not None:
            return False
        if self._ask_for_body is not None and (self._left or self._chunked):
            return False  # we never asked for it, so the client may or may not send it
        return self._left <= MAX_DISCARD_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        """Read `size` bytes, or all; fewer only at the end of the body.

        Raises:
            BodyError: the client stopped sending, or sent what is not a body.
        """
        return self._gather(-1 if size is None else size, self._rfile.read, b"")

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read up to and with a line feed, at most `size` bytes; see `read`."""
        return self._gather(-1 if size is None else size, self._rfile.readline, b"\n")

    def readlines(self, hint: int | None = None, /) -> list[bytes]:
        """Read all lines, or as many as hold at least `hint` bytes; see `read`."""
        lines, total = [], 0
        for line in self:
            lines.append(line)
            total += len(line)
            if hint and 0 < hint <= total:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def discard(self) -> bool:
        """Read and drop the rest of the body; return whether the next request may follow."""
        if not self.is_worth_discarding:
            return False

        dropped = 0
        try:
            while block := self.read(READ_BLOCK_BYTES):
                dropped += len(block)
                if dropped > MAX_DISCARD_BYTES:
                    return False
        except BodyError:
            return False
        return True

    def _gather(self, size: int, reader: Callable[[int], bytes], until: bytes) -> bytes:
        parts: list[bytes] = []
        while size and (self._left or self._next_chunk()):
            wanted = min(self._left, READ_BLOCK_BYTES, size if size > 0 else READ_BLOCK_BYTES)
            data = self._receive(reader, wanted)
            # A line may be shorter than wanted, a block may not.
            if len(data) < wanted and (not until or not data.endswith(until)):
                self._fail(400, "request body ended early")

            parts.append(data)
            self._left -= len(data)
            size -= len(data) if size > 0 else 0
            if self._chunked and not self._left:
                self._expect_line_end()
            if until and data.endswith(until):
                break

        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _next_chunk(self) -> bool:
        """Begin the next chunk; return False at the end of the body."""
        if self._failure is not None:
            self._fail(self._failure.status, self._failure.message)
        if not self._chunked:
            return False

        match = _CHUNK_LINE.fullmatch(self._receive(self._rfile.readline, MAX_CHUNK_LINE_BYTES))
        if match is None:
            self._fail(400, "chunk of the request body has no valid size")
        self._left = int(match[1], 16)
        if not self._left:
            self._skip_trailers()
            self._chunked = False
        return self._chunked

    def _skip_trailers(self) -> None:
        for _ in range(MAX_TRAILERS + 1):
            line = self._receive(self._rfile.readline, MAX_CHUNK_LINE_BYTES)
            if line == b"\r\n":
                return
            try:
                parse_field(line)
            except Refused:
                self._fail(400, "trailer of the request body is not a header line")
        self._fail(400, "request body has too many trailers")

    def _expect_line_end(self) -> None:
        if self._receive(self._rfile.read, 2) != b"\r\n":
            self._fail(400, "chunk of the request body is longer than its size")

    def _receive(self, reader: Callable[[int], bytes], size: int) -> bytes:
        if self._failure is not None:
            self._fail(self._failure.status, self._failure.message)
        if self._ask_for_body is not None:
            ask, self._ask_for_body = self._ask_for_body, None
            ask()

        try:
            return reader(size)
        except TimeoutError:
            self._fail(408, "request body came too slowly")
        except OSError:
            self._fail(400, "client went away while it sent the request body")

    def _fail(self, status: int, message: str) -> NoReturn:
        """Raise and remember the error: an application may swallow it and read on."""
        self._failure = BodyError(status, message)
        raise self._failure from None
