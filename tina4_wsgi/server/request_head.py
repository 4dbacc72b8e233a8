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
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ..errors import Refused
from ..protocol.grammar import TOKEN_BYTE

if TYPE_CHECKING:
    from collections.abc import Callable

_REQUEST_LINE = re.compile(
    rb"(" + TOKEN_BYTE + rb"{1,64}) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])\r\n"
)
_FIELD = re.compile(rb"(" + TOKEN_BYTE + rb"+):([^\x00-\x08\x0a-\x1f\x7f]*)\r\n")
_ABSOLUTE_TARGET = re.compile(r"(?:https?|wss?)://([^/?]*)(.*)", re.IGNORECASE)
_HOST = re.compile(r"(?:[A-Za-z0-9._~%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_LENGTH = re.compile(r"[0-9]{1,18}")

# A second line with one of these names would make the request ambiguous.
_SINGLE = frozenset({"CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_HOST", "HTTP_TRANSFER_ENCODING"})

_EMPTY_LINE = b"\r\n"


@dataclass(slots=True)
class RequestHead:
    """The head of a valid request.

    Attributes:
        target: the request target as sent.
        path: percent-decoded as latin-1, as WSGI wants it; "*" for `OPTIONS *`.
        query: what followed the "?", as sent.
        version: "HTTP/1.0" or "HTTP/1.1".
        variables: the header fields by their WSGI names, such as "HTTP_ACCEPT", "CONTENT_TYPE".
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
    content_length: int | None = None
    is_chunked: bool = False
    keeps_alive: bool = True
    expects_continue: bool = False
    wants_websocket: bool = False


def read_head(
    readline: Callable[[int], bytes],
    max_line_bytes: int,
    max_fields: int,
    max_head_bytes: int = 1 << 20,
) -> RequestHead | None:
    """Read one request head, including the empty line at its end.

    Args:
        readline: returns at most the given number of bytes, including a line feed; b"" at the end
            of the stream.
        max_line_bytes: the longest line allowed, without its line end.
        max_fields: the most header fields allowed.
        max_head_bytes: the most bytes of all lines together, with the request line and line ends.
    Returns:
        The head, or None if the stream ended before it began.
    Raises:
        Refused: 400, 414, 417, 431 or 505; the connection must be closed after the response.
    """
    line = readline(max_line_bytes + 2)
    if line == _EMPTY_LINE:  # some clients end a body with one too many (RFC 9112 §2.2)
        line = readline(max_line_bytes + 2)
    if not line:
        return None

    head = _parse_request_line(_whole(line, max_line_bytes, 414, "request line is too long"))
    _read_fields(head, readline, max_line_bytes, max_fields, max_head_bytes - len(line))

    _check_host(head)
    _check_framing(head)
    _check_expectation(head)
    _note_connection(head)
    return head


def parse_field(line: bytes) -> tuple[bytes, str]:
    """Split a header line into its name, as sent, and its value without surrounding whitespace.

    Raises:
        Refused: 400; the message says what is wrong with the line.
    """
    match = _FIELD.fullmatch(line)
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
    match = _REQUEST_LINE.fullmatch(line)
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
    head.path = unquote(path, "latin-1")


def _origin_form(head: RequestHead) -> str:
    """Reduce "http://host/path" to "/path"; the host replaces the Host field (RFC 9112 §3.2.2)."""
    match = _ABSOLUTE_TARGET.fullmatch(head.target)
    if match is None or not _HOST.fullmatch(match[1]):
        raise Refused(400, "request target is neither a path nor a URL")
    head.variables["HTTP_HOST"] = match[1]
    rest = match[2]
    return rest if rest.startswith("/") else "/" + rest


def _read_fields(
    head: RequestHead,
    readline: Callable[[int], bytes],
    max_line_bytes: int,
    max_fields: int,
    left_bytes: int,
) -> None:
    variables: dict[str, str] = {}
    for _ in range(max_fields):
        line = readline(max_line_bytes + 2)
        if line == _EMPTY_LINE:
            break
        left_bytes -= len(line)
        if left_bytes < 0:
            raise Refused(431, "request head is too long")
        name, value = parse_field(_whole(line, max_line_bytes, 431, "header line is too long"))
        _add_variable(variables, name, value)
    else:
        if readline(2) != _EMPTY_LINE:
            raise Refused(431, "too many header fields")

    if "HTTP_HOST" not in variables and head.version == "HTTP/1.1":
        raise Refused(400, "Host is missing")
    variables.update(head.variables)  # the host of an absolute target
    head.variables = variables


def _add_variable(variables: dict[str, str], name: bytes, value: str) -> None:
    if b"_" in name:
        return  # X_Real_Ip would become the variable of X-Real-Ip, which a proxy vouches for
    key = _VARIABLE_NAMES.get(name) or _variable_name(name)
    if key not in variables:
        variables[key] = value
    elif key in _SINGLE:
        raise Refused(400, f"{_SPELLING[key]} is given twice")
    else:
        variables[key] += ("; " if key == "HTTP_COOKIE" else ",") + value


def _variable_name(name: bytes) -> str:
    key = name.decode("ascii").upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + key


def _check_host(head: RequestHead) -> None:
    host = head.variables.get("HTTP_HOST")
    if host is not None and not _HOST.fullmatch(host):
        raise Refused(400, "Host is not a host name")


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
    options = _options(head, "HTTP_CONNECTION")
    if head.version == "HTTP/1.1":
        head.keeps_alive = "close" not in options
    else:
        head.keeps_alive = "keep-alive" in options and "close" not in options

    head.wants_websocket = (
        "upgrade" in options
        and "websocket" in _options(head, "HTTP_UPGRADE")
        and head.method == "GET"
        and head.version == "HTTP/1.1"
        and not head.is_chunked
        and not head.content_length
    )


def _options(head: RequestHead, key: str) -> list[str]:
    """Return the tokens of a list field in lower case: "Upgradeable" is not "upgrade"."""
    value = head.variables.get(key)
    return [part.strip(" \t") for part in value.lower().split(",")] if value else []


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

# Computed once for the usual spellings: computing 10 names costs 3 µs, a thirtieth of a request.
_VARIABLE_NAMES = {
    spelling: _variable_name(name)
    for name in (
        b"Host",
        b"User-Agent",
        b"Accept",
        b"Accept-Language",
        b"Accept-Encoding",
        b"Connection",
        b"Cookie",
        b"Referer",
        b"Origin",
        b"Cache-Control",
        b"Pragma",
        b"Upgrade-Insecure-Requests",
        b"If-None-Match",
        b"If-Modified-Since",
        b"Content-Type",
        b"Content-Length",
        b"Authorization",
        b"X-Forwarded-For",
        b"X-Forwarded-Proto",
        b"X-Forwarded-Host",
        b"Sec-Fetch-Dest",
        b"Sec-Fetch-Mode",
        b"Sec-Fetch-Site",
        b"Sec-Fetch-User",
        b"Upgrade",
        b"Sec-WebSocket-Key",
        b"Sec-WebSocket-Version",
        b"Sec-WebSocket-Extensions",
        b"Sec-WebSocket-Protocol",
    )
    for spelling in (name, name.lower())
}
