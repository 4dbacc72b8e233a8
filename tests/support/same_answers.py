"""A matrix of requests, to see that an app answers wrapped as it does bare: byte by byte, apart
from Date.

A framework's tests bring one module with the framework's app twice, as `bare` and as `wrapped`,
serve each under gunicorn with `ENVIRONMENT`, and compare what comes back for each case:

    @pytest.mark.parametrize("case", cases(), ids=str)
    def test_a_wrapped_app_answers_as_it_does_bare(pair, case):
        assert_same(*pair, case)

The app has these paths, each made with what the framework itself offers; nothing in an answer may
depend on the time (a signed session cookie does: hold its clock) or on the port:

    /text            GET: a text, with the field `X-Probe` twice
    /echo            any method: body, method, query and content type as they arrived, in any form
    /form            POST: fields and files of an urlencoded or multipart form
    /stream          GET: a generator of several parts, without a length
    /stream-fails    GET: a generator that raises after its first part
    /large           GET: 300 kB
    /empty           GET: 204
    /redirect        GET: 302 to /text
    /cookies         GET: what cookies came; sets one with attributes, deletes another
    /session         GET: counts visits in the framework's session
    /error           GET: raises
    /refused         GET: 403 in the framework's own way
    /cached          GET: with an ETag `"probe"` and a Last-Modified of 2024-01-01; 304 where that
    is right /file            GET: a file of 1,000 bytes or more in the framework's own way, ranges
    included /path/<rest>     GET: SCRIPT_NAME, PATH_INFO and QUERY_STRING as WSGI gave them

What a framework has no means for it leaves out, and names in `without`:
`cases(without=("session",))`.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

ANSWER_S = 10.0
ENVIRONMENT = {"PYTHONHASHSEED": "0"}  # for both servers: the methods in an Allow come out of a set
HOST = "probe.example.org"  # the same for both, so that absolute addresses in answers are the same

Address = tuple[str, int]

_DATE = re.compile(rb"\r\nDate: [^\r\n]*", re.IGNORECASE)
_COOKIE = re.compile(rb"\r\nSet-Cookie: ([^\r\n;]*)", re.IGNORECASE)


@dataclass(frozen=True)
class Case:
    """One exchange on a connection of its own.

    Attributes:
        name: what it tries; its first word is the path.
        sent: literal bytes.
        statuses: what may come for it; empty where frameworks and servers differ.
        comes_back: it is sent a second time, with the cookies of the first answer.
    """

    name: str
    sent: bytes
    statuses: tuple[int, ...] = (200,)
    comes_back: bool = False

    def __str__(self) -> str:
        return self.name


def answer(address: Address, case: Case) -> bytes:
    """Send a case and give all that comes until the server closes the connection, without Date."""
    received = _exchange(address, case.sent)
    if case.comes_back:
        cookies = b"; ".join(_COOKIE.findall(received))
        head, _, rest = case.sent.partition(b"\r\n")
        received += _exchange(address, head + b"\r\nCookie: " + cookies + b"\r\n" + rest)
    return _DATE.sub(b"", received)


def _exchange(address: Address, data: bytes) -> bytes:
    with socket.create_connection(address, ANSWER_S) as client:
        client.sendall(data)
        received = b""
        while part := client.recv(65_536):
            received += part
    return received


def assert_same(bare: Address, wrapped: Address, case: Case) -> None:
    """See that both servers answer alike, and that the bare one answers what the case is about."""
    expected, got = answer(bare, case), answer(wrapped, case)

    assert got == expected, f"bare:\n{expected[:2_000]!r}\nwrapped:\n{got[:2_000]!r}"
    status = int(expected.split(b" ", 2)[1])
    assert status in (case.statuses or (status,)), expected[:1_000]


def cases(without: tuple[str, ...] = ()) -> list[Case]:
    """Give all cases but those of the named paths."""
    return [case for case in CASES if case.name.split()[0] not in without]


def request(
    method: str,
    target: str,
    *fields: str,
    body: bytes = b"",
    version: str = "1.1",
    is_last: bool = True,
) -> bytes:
    """Lay out a request; the server is asked to close behind the last one."""
    lines = [f"{method} {target} HTTP/{version}", f"Host: {HOST}", *fields]
    lines += [f"Content-Length: {len(body)}"] if body else []
    lines += ["Connection: close"] if is_last else []
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


FORM = "Content-Type: application/x-www-form-urlencoded"
MULTIPART = "Content-Type: multipart/form-data; boundary=cut"
PARTS = (
    b'--cut\r\nContent-Disposition: form-data; name="word"\r\n\r\nk\xc3\xa4se\r\n'
    b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n\x00\xff\r\n\r\n--cut--\r\n"
)
CHUNKS = b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\n\r\n"
UPGRADE = (
    "Upgrade: websocket",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Version: 13",
)
NOT_ALLOWED = (405,)
SOME = ()  # frameworks differ here, and may

CASES = [
    Case("text", request("GET", "/text")),
    Case("text HEAD", request("HEAD", "/text")),
    Case("text OPTIONS", request("OPTIONS", "/text"), SOME),
    Case("text with a wrong method", request("DELETE", "/text"), NOT_ALLOWED),
    Case("text with a slash too many at the end", request("GET", "/text/"), SOME),
    Case("text with a slash too many at the beginning", request("GET", "//text"), SOME),
    Case("text of HTTP/1.0", request("GET", "/text", version="1.0")),
    Case("text by its whole address", request("GET", f"http://{HOST}/text")),
    Case(
        "text behind another on one connection",
        request("GET", "/text", is_last=False) + request("HEAD", "/text"),
    ),
    Case("text for one who wants an upgrade", request("GET", "/text", *UPGRADE)),
    Case("text for one who asks for HTTP/2", request("GET", "/text", "Upgrade: h2c")),
    Case("echo GET", request("GET", "/echo?a=1&a=2&b=k%C3%A4se&c")),
    Case("echo POST", request("POST", "/echo", "Content-Type: text/plain", body=b"hello")),
    Case(
        "echo PUT",
        request("PUT", "/echo", "Content-Type: application/json", body=b'{"a": [1, null]}'),
    ),
    Case("echo PATCH", request("PATCH", "/echo", body=b"\x00\xff\r\n\r\n")),
    Case("echo DELETE", request("DELETE", "/echo")),
    Case("echo DELETE with a body", request("DELETE", "/echo", body=b"why")),
    Case("echo POST without a body", request("POST", "/echo", "Content-Length: 0")),
    Case("echo of a method that nobody knows", request("BREW", "/echo", body=b"tea"), SOME),
    Case("echo in chunks", request("POST", "/echo", "Transfer-Encoding: chunked") + CHUNKS),
    Case(
        "echo that waits for a 100",
        request("POST", "/echo", "Expect: 100-continue", body=b"now"),
        (100, 200),
    ),
    Case("echo of a large body", request("POST", "/echo", body=b"0123456789" * 30_000)),
    Case(
        "echo behind another on one connection",
        request("POST", "/echo", body=b"1", is_last=False) + request("POST", "/echo", body=b"2"),
    ),
    Case("form", request("POST", "/form", FORM, body=b"word=k%C3%A4se&n=1&n=2")),
    Case("form of parts", request("POST", "/form", MULTIPART, body=PARTS)),
    Case("form that ends too early", request("POST", "/form", MULTIPART, body=PARTS[:60]), SOME),
    Case("stream", request("GET", "/stream")),
    Case("stream HEAD", request("HEAD", "/stream")),
    Case("stream of HTTP/1.0", request("GET", "/stream", version="1.0")),
    Case("stream-fails after its first part", request("GET", "/stream-fails")),
    Case("large", request("GET", "/large")),
    Case("empty", request("GET", "/empty"), (204,)),
    Case("redirect", request("GET", "/redirect"), (302,)),
    Case("cookies", request("GET", "/cookies", "Cookie: one=1; two=k\xe4se; one=2; old=x")),
    Case("session of a newcomer", request("GET", "/session")),
    Case("session of one who comes back", request("GET", "/session"), comes_back=True),
    Case(
        "session that is forged",
        request("GET", "/session", "Cookie: session=forged; sessionid=forged"),
    ),
    Case("error", request("GET", "/error"), (500,)),
    Case("error HEAD", request("HEAD", "/error"), (500,)),
    Case("refused", request("GET", "/refused"), (403,)),
    Case("nowhere", request("GET", "/nowhere"), (404,)),
    Case("nowhere HEAD", request("HEAD", "/nowhere"), (404,)),
    Case("nowhere POST", request("POST", "/nowhere", body=b"unread"), (404, 405)),
    Case("cached", request("GET", "/cached")),
    Case("cached, the same", request("GET", "/cached", 'If-None-Match: "probe"'), (304,)),
    Case("cached, another", request("GET", "/cached", 'If-None-Match: "other"')),
    Case(
        "cached, not newer",
        request("GET", "/cached", "If-Modified-Since: Tue, 02 Jan 2024 00:00:00 GMT"),
        (304,),
    ),
    Case("cached HEAD, the same", request("HEAD", "/cached", 'If-None-Match: "probe"'), (304,)),
    Case("file", request("GET", "/file")),
    Case("file HEAD", request("HEAD", "/file")),
    Case("file from the middle", request("GET", "/file", "Range: bytes=10-19"), (200, 206)),
    Case("file to the end", request("GET", "/file", "Range: bytes=-5"), (200, 206)),
    Case("file HEAD from the middle", request("HEAD", "/file", "Range: bytes=10-19"), (200, 206)),
    Case("file in two ranges", request("GET", "/file", "Range: bytes=0-1,5-6"), SOME),
    Case("file behind its end", request("GET", "/file", "Range: bytes=9999999-"), (200, 416)),
    Case(
        "file in a range that makes no sense",
        request("GET", "/file", "Range: cows=1-2"),
        (200, 416),
    ),
    Case(
        "file if it is still the same",
        request("GET", "/file", "Range: bytes=1-2", 'If-Range: "no"'),
    ),
    Case("path", request("GET", "/path/a/b?x=1")),
    Case("path with escapes", request("GET", "/path/k%C3%A4se%20%2F%25?q=%2B+%")),
    Case("path that is no UTF-8", request("GET", "/path/%FF%FE"), SOME),
    Case("path with dots", request("GET", "/path/../text"), SOME),
]
"""Every case; `case.sent` never changes, so a failure can be repeated by hand."""
