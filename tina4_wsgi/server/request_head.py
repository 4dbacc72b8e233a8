"""Reads and checks the head of an HTTP/1.x request (RFC 9112 §2 to §6), for our own server.

It is strict on purpose: it refuses what two programs could read as different requests, because that
is how requests are smuggled past a proxy. It repairs nothing. Every line is checked as soon as
it arrives, so a hopeless head is answered before the rest of it has come.

It knows no sockets: the bytes come from any `readline`, so tests feed it literal bytes.

Invariant: the two patterns have no adjoining repeats over the same characters. They run on lines of
64 KiB that the peer chose, and must fail in linear time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ..errors import Refused
from ..protocol.grammar import TOKEN_BYTE
from .head_scan import scan_head
from .variable_names import variable_name

if TYPE_CHECKING:
    from collections.abc import Callable

_REQUEST_LINE = re.compile(rb"(" + TOKEN_BYTE + rb"{1,64}) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])")
_FIELD = re.compile(rb"(" + TOKEN_BYTE + rb"+):([^\x00-\x08\x0a-\x1f\x7f]*)")
_ABSOLUTE_TARGET = re.compile(r"(?:https?|wss?)://([^/?]*)(.*)", re.IGNORECASE)
_HOST = re.compile(r"(?:[A-Za-z0-9._~%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_LENGTH = re.compile(r"[0-9]{1,18}")

# A second line with one of these names would make the request ambiguous.
_SINGLE = frozenset({"CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_HOST", "HTTP_TRANSFER_ENCODING"})

_LINE_END = _EMPTY_LINE = b"\r\n"


@dataclass(slots=True)
class RequestHead:
    """The head of a valid request.

    Attributes:
        target: the request target as sent.
        path: percent-decoded as latin-1, as WSGI wants it; "*" for `OPTIONS *`.
        query: what followed the "?", as sent.
        version: "HTTP/1.0" or "HTTP/1.1".
        variables: the header fields by their WSGI names, such as "HTTP_ACCEPT", "CONTENT_TYPE".
        host: that of an absolute target, which replaces the field Host; None for other targets.
        content_length: None if the field is missing.
        keeps_alive: whether the connection may carry another request.
        expects_continue: whether the client waits for a "100 Continue" with the body.
        wants_websocket: whether it is a GET without a body that asks for the upgrade.
    """

    method: str
    target: str
    path: str
    query: str
    version: str
    variables: dict[str, str]
    host: str | None = None
    content_length: int | None = None
    is_chunked: bool = False
    keeps_alive: bool = True
    expects_continue: bool = False
    wants_websocket: bool = False


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """How much of a head is read.

    Attributes:
        line_bytes: the longest line allowed, without its line end.
        fields: the most header fields allowed.
        head_bytes: the most bytes of all lines together, with the request line and line ends.
        request_line_bytes: the longest request line, if it isn't `line_bytes`.
    """

    line_bytes: int
    fields: int
    head_bytes: int = 1 << 20
    request_line_bytes: int | None = None

    @property
    def first_bytes(self) -> int:
        """The longest request line allowed, without its line end."""
        most = self.request_line_bytes
        return self.line_bytes if most is None else most


def read_head(
    readline: Callable[[int], bytes],
    max_line_bytes: int,
    max_fields: int,
    max_head_bytes: int = 1 << 20,
    max_request_line_bytes: int | None = None,
) -> RequestHead | None:
    """Read one request head, including the empty line at its end.

    Args:
        readline: returns at most the given number of bytes, including a line feed; b"" at the end
            of the stream.
        max_line_bytes, max_fields, max_head_bytes, max_request_line_bytes: see `HeadLimits`.
    Returns:
        The head, or None if the stream ended before it began.
    Raises:
        Refused: 400, 414, 417, 431 or 505; the connection must be closed after the response.
    """
    reader = HeadReader(
        HeadLimits(max_line_bytes, max_fields, max_head_bytes, max_request_line_bytes)
    )
    while reader.head is None:
        line = readline(reader.most_bytes)
        if not line and not reader.has_begun:
            return None
        reader.take(line)
    return reader.head


def read_whole_head(data: bytes, limits: HeadLimits) -> tuple[RequestHead, int] | None:
    """Read the head that `data` begins with, in one go.

    Returns:
        The head, and how many bytes it took; None if it isn't there as a whole, or if there is
        anything about it that `HeadReader` has to look at.
    Raises:
        Refused: as `read_head` does.
    """
    line_bytes = limits.line_bytes
    if limits.request_line_bytes is not None:
        line_bytes = min(line_bytes, limits.request_line_bytes)
    found = scan_head(data, line_bytes, limits.fields, limits.head_bytes)
    if found is None:
        return None
    method, target, version, variables, size = found
    head = RequestHead(method, target, "", "", version, variables)
    _split_target(head)
    _finish(head)
    return head, size


class HeadReader:
    """Reads one head from its lines as they come.

    Attributes:
        head: the head; None until its last line has come.
    """

    __slots__ = ("_begun", "_fields_left", "_left_bytes", "_limits", "_may_be_empty", "head")

    def __init__(self, limits: HeadLimits) -> None:
        self.head: RequestHead | None = None
        self._begun: RequestHead | None = None
        self._limits = limits
        self._fields_left = limits.fields
        self._left_bytes = limits.head_bytes
        self._may_be_empty = True

    @property
    def has_begun(self) -> bool:
        """Whether the request line has come."""
        return self._begun is not None

    @property
    def most_bytes(self) -> int:
        """The most bytes of the next line that need to be looked at, its line end included."""
        if self._begun is None:
            return self._limits.first_bytes + len(_LINE_END)
        if not self._fields_left:
            return len(_EMPTY_LINE)
        return self._limits.line_bytes + len(_LINE_END)

    def feed(self, data: bytes) -> int:
        """Take the lines that `data` begins with, up to the end of the head.

        Returns:
            How many bytes were taken; the rest of `data` is to be given again, with more behind it.
        Raises:
            Refused: as `read_head` does.
        """
        at = 0
        while self.head is None:
            most_bytes = self.most_bytes
            end = data.find(b"\n", at, at + most_bytes) + 1
            if not end:
                if len(data) - at < most_bytes:
                    break
                end = at + most_bytes
            self.take(data[at:end])
            at = end
        return at

    def take(self, line: bytes) -> None:
        """Take the next line.

        Args:
            line: with its line feed, or its first `most_bytes` bytes; what there is of it where
                the stream has ended.
        Raises:
            Refused: as `read_head` does.
        """
        if self._begun is None:
            if line == _EMPTY_LINE and self._may_be_empty:
                # Some clients end a body with one too many (RFC 9112 §2.2).
                self._may_be_empty = False
                return
            limits = self._limits
            self._begun = _parse_request_line(
                _whole(line, limits.first_bytes, 414, "request line is too long")
            )
            self._left_bytes -= len(line)
        elif line == _EMPTY_LINE:
            _finish(self._begun)
            self.head = self._begun
        elif not self._fields_left:
            raise Refused(431, "too many header fields")
        else:
            self._take_field(self._begun, line)

    def _take_field(self, begun: RequestHead, line: bytes) -> None:
        self._fields_left -= 1
        self._left_bytes -= len(line)
        if self._left_bytes < 0:
            raise Refused(431, "request head is too long")
        whole = _whole(line, self._limits.line_bytes, 431, "header line is too long")
        name, value = parse_field(whole)
        _add_variable(begun.variables, variable_name(name), value)


def parse_field(line: bytes) -> tuple[bytes, str]:
    """Split a header line into its name, as sent, and its value without surrounding whitespace.

    Raises:
        Refused: 400; the message says what is wrong with the line.
    """
    match = _FIELD.fullmatch(line[:-2]) if line.endswith(_LINE_END) else None
    if match is None:
        raise Refused(400, _what_is_wrong_with_field(line))
    return match[1], match[2].decode("latin-1").strip(" \t")


def _whole(line: bytes, max_line_bytes: int, status: int, message: str) -> bytes:
    """Return a line that ends in CRLF; refuse any other, and say why."""
    if line.endswith(b"\r\n"):
        return line
    if line.endswith(b"\n"):
        raise Refused(400, "line ends in a bare line feed")
    if len(line) > max_line_bytes:
        raise Refused(status, message)
    raise Refused(400, "request head ended early")


def _parse_request_line(line: bytes) -> RequestHead:
    match = _REQUEST_LINE.fullmatch(line[: -len(_LINE_END)])
    if match is None:
        raise Refused(400, _what_is_wrong_with_request_line(line))
    if match[3] != b"1":
        raise Refused(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")

    method, target = match[1].decode("ascii"), match[2].decode("ascii")
    # Higher minor versions count as 1.1 (RFC 9110 §2.5).
    version = "HTTP/1.0" if match[4] == b"0" else "HTTP/1.1"
    head = RequestHead(method, target, "", "", version, {})
    _split_target(head)
    return head


def _split_target(head: RequestHead) -> None:
    target = head.target
    if not target.startswith("/"):
        if target == "*" and head.method == "OPTIONS":
            head.path = target
            return
        target = _origin_form(head)
    if "#" in target:
        raise Refused(400, "request target has a fragment")
    path, _, head.query = target.partition("?")
    head.path = unquote(path, "latin-1") if "%" in path else path


def _origin_form(head: RequestHead) -> str:
    """Reduce "http://host/path" to "/path"; the host replaces the Host field (RFC 9112 §3.2.2)."""
    match = _ABSOLUTE_TARGET.fullmatch(head.target)
    if match is None or not _HOST.fullmatch(match[1]):
        raise Refused(400, "request target is neither a path nor a URL")
    head.host = match[1]
    rest = match[2]
    return rest if rest.startswith("/") else "/" + rest


def _finish(head: RequestHead) -> None:
    """Check and complete a head whose fields have all come."""
    variables = head.variables
    if "HTTP_HOST" not in variables and head.version == "HTTP/1.1":
        raise Refused(400, "Host is missing")
    if head.host is not None:
        variables["HTTP_HOST"] = head.host

    _check_host(head)
    _check_framing(head)
    _check_expectation(head)
    _note_connection(head)


def _add_variable(variables: dict[str, str], key: str, value: str) -> None:
    if not key:
        return
    if key not in variables:
        variables[key] = value
    elif key in _SINGLE:
        raise Refused(400, f"{_SPELLING[key]} is given twice")
    else:
        variables[key] += ("; " if key == "HTTP_COOKIE" else ",") + value


def _check_host(head: RequestHead) -> None:
    host = head.variables.get("HTTP_HOST")
    if host is not None and not _is_host(host):
        raise Refused(400, "Host is not a host name")


@lru_cache(maxsize=64)
def _is_host(text: str) -> bool:
    return _HOST.fullmatch(text) is not None


def _check_framing(head: RequestHead) -> None:
    """Decide where the body ends; refuse a head that could be read in two ways (RFC 9112 §6.3)."""
    coding = head.variables.get("HTTP_TRANSFER_ENCODING")
    length = head.variables.get("CONTENT_LENGTH")

    if coding is not None:
        if length is not None:
            raise Refused(400, "both Content-Length and Transfer-Encoding are given")
        if head.version == "HTTP/1.0":
            raise Refused(400, "Transfer-Encoding needs HTTP/1.1")
        if coding.lower() != "chunked":
            raise Refused(400, "Transfer-Encoding is not just chunked")
        head.is_chunked = True
    elif length is not None:
        if not _LENGTH.fullmatch(length):
            raise Refused(400, "Content-Length is not a number of bytes")
        head.content_length = int(length)


def _check_expectation(head: RequestHead) -> None:
    expectation = head.variables.get("HTTP_EXPECT")
    if expectation is None or head.version == "HTTP/1.0":  # RFC 9110 §10.1.1: ignore it there
        return
    if expectation.lower() != "100-continue":
        raise Refused(417, "Expect is not 100-continue")
    head.expects_continue = head.is_chunked or bool(head.content_length)


def _note_connection(head: RequestHead) -> None:
    connection = head.variables.get("HTTP_CONNECTION")
    options = _NO_OPTIONS if connection is None else _options(connection)
    if head.version == "HTTP/1.1":
        head.keeps_alive = "close" not in options
    else:
        head.keeps_alive = "keep-alive" in options and "close" not in options

    head.wants_websocket = (
        "upgrade" in options
        and "websocket" in _options(head.variables.get("HTTP_UPGRADE", ""))
        and head.method == "GET"
        and head.version == "HTTP/1.1"
        and not head.is_chunked
        and not head.content_length
    )


@lru_cache(maxsize=64)
def _options(value: str) -> frozenset[str]:
    """Return the tokens of a list field in lower case: "Upgradeable" is not "upgrade"."""
    return frozenset(part.strip(" \t") for part in value.lower().split(","))


_NO_OPTIONS: frozenset[str] = frozenset()


def _what_is_wrong_with_request_line(line: bytes) -> str:
    words = line[:-2].split(b" ")
    if any(byte < 0x20 or byte == 0x7F for byte in line[:-2]):
        return "request line has a control character"
    if len(words) != 3:
        return "request line is not a method, a target and a version with one space between"

    method, target, version = words
    if not re.fullmatch(TOKEN_BYTE + rb"{1,64}", method):
        return "request method is not a token"
    if not re.fullmatch(rb"[\x21-\x7e]+", target):
        return "request target is not percent-encoded"
    return "protocol is not HTTP" if version else "protocol version is missing"


def _what_is_wrong_with_field(line: bytes) -> str:
    name, colon, value = line[:-2].partition(b":")
    if line[:1] in b" \t":
        return "header line is continued on the next one"
    if not colon:
        return "header line has no colon"

    if name.endswith((b" ", b"\t")):
        return "space before the colon of a header"
    if not re.fullmatch(TOKEN_BYTE + rb"+", name):
        return "header name is not a token"
    if b"\r" in value:
        return "header value has a bare carriage return"
    return "header value has a control character"


_SPELLING = {
    "CONTENT_LENGTH": "Content-Length",
    "CONTENT_TYPE": "Content-Type",
    "HTTP_HOST": "Host",
    "HTTP_TRANSFER_ENCODING": "Transfer-Encoding",
}
