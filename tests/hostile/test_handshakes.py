"""Handshakes that no honest client sends: the status, the very text, nothing upgraded, nothing
repeated.

Where the host server refuses by itself before the application is asked, only our own server's words
are ours.

Each test makes all attempts that it is about: a test for each of them, on each kind of server, took
minutes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from tests.support.hostile import MARKER
from tests.support.raw import PING, TEXT, RawClient, client_frame
from tests.support.site import Site

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
SECRET = MARKER.decode()
# The empty line makes a request of it for a server that goes on with HTTP.
BEHIND = client_frame(PING, MARKER) + client_frame(TEXT, MARKER) + b"\r\n\r\n"

NO_UPGRADE = "header Connection lacks the token Upgrade\n"
NO_BODY = "a WebSocket handshake has no body\n"
NO_KEY = "Sec-WebSocket-Key is not the base64 of 16 bytes\n"
NO_VERSION = "only WebSocket version 13 is spoken here\n"
NO_GET = "a WebSocket handshake is a GET request\n"
NO_LIST = "Sec-WebSocket-Protocol is no list of different tokens\n"
NO_EXTENSIONS = "Sec-WebSocket-Extensions is no list of extensions\n"
NO_ORIGIN = "this origin may not connect; see allowed_origins\n"
NOT_HTTP_1_1 = "a WebSocket handshake needs HTTP/1.1\n"


class Attempt(NamedTuple):
    """A handshake, and what it is refused with.

    Attributes:
        fields: replace those of a good handshake; "" leaves one out, a bare newline makes it two.
        body: the whole text of the answer; "" where only the status is told.
    """

    name: str
    status: int
    body: str
    fields: dict[str, str]
    method: str = "GET"
    version: str = "HTTP/1.1"
    behind: str = ""
    route: str = "echo"

    def request(self, tag: str, port: int) -> bytes:
        """Lay the handshake out for a server on `port`."""
        wanted = {
            "Host": "127.0.0.1:PORT",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": KEY,
            **self.fields,
        }
        lines = [f"{self.method} /ws/{self.route}/{tag} {self.version}"]
        for name, values in wanted.items():
            lines += [f"{name}: {value}" for value in re.split(r"(?<!\r)\n", values) if values]
        return (
            ("\r\n".join([*lines, "", ""]) + self.behind)
            .replace("PORT", str(port))
            .encode("latin-1")
        )


ATTEMPTS = (
    Attempt(
        "no such route", 404, "no WebSocket route has this path\n", {}, route=f"{SECRET}/{SECRET}"
    ),
    Attempt(
        "no login",
        401,
        "this WebSocket route asks for a login\n",
        {"Cookie": f"a={SECRET}"},
        route="members",
    ),
    Attempt("path not UTF-8", 400, "The path is not UTF-8.\n", {}, route=f"%FF%FE{SECRET}"),
    *(
        Attempt(f"Connection {value}", 400, NO_UPGRADE, {"Connection": value})
        for value in ("Upgradeable", "close", "keep-alive", f"{SECRET}", "xUpgrade", "")
    ),
    *(
        Attempt(f"version {value!r}", 426, NO_VERSION, {"Sec-WebSocket-Version": value})
        for value in ("", "8", "14", "13, 8", "13\n13", "8\n13", f"13{SECRET}")
    ),
    *(
        Attempt(f"key {value!r}", 400, NO_KEY, {"Sec-WebSocket-Key": value})
        for value in (
            "",
            "c2hvcnQ=",
            f"{KEY}\n{KEY}",
            f"{KEY}, {KEY}",
            KEY[:-1],
            f"!!!{KEY}",
            f"{KEY} {KEY}",
            SECRET,
            "é" * 24,
        )
    ),
    Attempt("HTTP/1.0", 400, NOT_HTTP_1_1, {}, version="HTTP/1.0"),
    *(
        Attempt(f"method {method}", 405, NO_GET, {}, method=method)
        for method in ("POST", "PUT", "DELETE", "OPTIONS")
    ),
    Attempt("a body", 400, NO_BODY, {"Content-Length": f"{len(MARKER)}"}, behind=SECRET),
    Attempt(
        "a chunked body",
        400,
        NO_BODY,
        {"Transfer-Encoding": "chunked"},
        behind=f"f\r\n{SECRET}\r\n0\r\n\r\n",
    ),
    Attempt(
        "POST with a body", 405, NO_GET, {"Content-Length": "15"}, method="POST", behind=SECRET
    ),
    *(
        Attempt(f"origin {value!r}", 403, NO_ORIGIN, {"Origin": value})
        for value in (
            f"https://{SECRET}.example",
            "null",
            "http://127.0.0.1:PORT.evil.example",
            "http://evil127.0.0.1.example:PORT",
            "http://127.0.0.1:PORT@evil.example",
            "http://evil@127.0.0.1:PORT",
            "http://127.0.0.1:1",
            "http://127.0.0.1",
            "http://127.0.0.1:PORT\nhttp://127.0.0.1:PORT",
            "http://127.0.0.1:PORT/",
            "http://127.0.0.1:PORT, http://127.0.0.1:PORT",
            "127.0.0.1:PORT",
            "//127.0.0.1:PORT",
            "http://localhost:PORT",
            "http://[::1]:PORT",
            "http://",
            "*",
            "file://",
            "http://127.0.0.1:99999999",
            "http://127.0.0.1:PORT?",
            "http://127.0.0.1:PORT#",
            "http://127.0.0.1:PORT\\.evil.example",
        )
    ),
    *(
        Attempt(f"protocol {value!r}", 400, NO_LIST, {"Sec-WebSocket-Protocol": value})
        for value in (
            "chat room",
            "chat, chat",
            "chat\nchat",
            ",",
            f"chat;{SECRET}",
            '"chat"',
            "chat\té",
            f"chat/{SECRET}",
        )
    ),
    *(
        Attempt(
            f"{route}: {value!r}",
            400,
            NO_EXTENSIONS,
            {"Sec-WebSocket-Extensions": value},
            route=route,
        )
        for route in ("deflate", "echo")
        for value in (
            ",",
            ";",
            "permessage-deflate;",
            "permessage deflate",
            "permessage-deflate; =15",
            f"{SECRET}; a=",
            'permessage-deflate; server_max_window_bits="15',
            'a; b="c d"',
            'a; b=""',
            "a/b",
            "permessage-deflate; a b",
            f'permessage-deflate; a="{SECRET}\\"',
            "permessage-deflate,;",
        )
    ),
)

OWN_ATTEMPTS = (
    Attempt("two hosts", 400, "Host is given twice\n", {"Host": "127.0.0.1:PORT\n127.0.0.1:PORT"}),
    Attempt("no host", 400, "Host is missing\n", {"Host": ""}),
    Attempt("hosts in a list", 400, "Host is not a host name\n", {"Host": f"{SECRET}, 127.0.0.1"}),
    Attempt(
        "length and chunked",
        400,
        "both Content-Length and Transfer-Encoding are given\n",
        {"Content-Length": "15", "Transfer-Encoding": "chunked"},
        behind=SECRET,
    ),
    Attempt(
        "lengths that differ",
        400,
        "Content-Length is given twice\n",
        {"Content-Length": "0\n15"},
        behind=SECRET,
    ),
    Attempt(
        "stacked codings",
        400,
        "Transfer-Encoding is not just chunked\n",
        {"Transfer-Encoding": "gzip, chunked"},
    ),
    Attempt(
        "space before a colon",
        400,
        "space before the colon of a header\n",
        {"Sec-WebSocket-Key ": SECRET},
    ),
    Attempt(
        "folded field",
        400,
        "header line is continued on the next one\n",
        {"Sec-WebSocket-Protocol": f"chat\r\n X-{SECRET}: yes"},
    ),
    Attempt(
        "carriage return",
        400,
        "header value has a bare carriage return\n",
        {"Sec-WebSocket-Protocol": f"chat\rX-{SECRET}: yes"},
    ),
    Attempt(
        "NUL",
        400,
        "header value has a control character\n",
        {"Sec-WebSocket-Protocol": f"chat\0{SECRET}"},
    ),
    Attempt(
        "too many fields",
        431,
        "too many header fields\n",
        {f"X-{number}": SECRET for number in range(100)},
    ),
    Attempt("a field too long", 431, "header line is too long\n", {"Cookie": SECRET * 600}),
    Attempt("HTTP/2", 505, "only HTTP/1.1 and HTTP/1.0 are spoken here\n", {}, version="HTTP/2.0"),
)


class Answer(NamedTuple):
    """What came of an attempt: one answer, and what was sent behind it."""

    status: int
    head: bytes
    body: str
    rest: bytes


def take_apart(received: bytes) -> Answer:
    head, _, rest = received.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: (\d+)", head.lower())
    size = int(length[1]) if length else len(rest)
    return Answer(int(head.split()[1]), head, rest[:size].decode(), rest[size:])


def attempt_it(arena: Site, data: bytes) -> Answer:
    """Send a handshake with frames right behind it, and read to the end of the stream."""
    with RawClient.dial(arena.address) as client:
        client.send_bytes(data + BEHIND)
        return take_apart(client.read_to_end())


def assert_not_upgraded(answer: Answer) -> None:
    """Hold that the frames were not heard: the connection ended, or HTTP went on and made no sense
    of them.
    """
    assert answer.rest == b"" or answer.rest.startswith(b"HTTP/1.1 400 "), answer.rest
    assert b"sec-websocket-accept" not in answer.head.lower()


def attempt_all(arena: Site, tag: str, attempts: tuple[Attempt, ...]) -> dict[str, Answer]:
    """Send all of them, number 7 to `TAG-7`, and give the answers by the names of the attempts."""
    return {
        attempt.name: attempt_it(arena, attempt.request(f"{tag}-{number}", arena.address[1]))
        for number, attempt in enumerate(attempts)
    }


def expected(attempts: tuple[Attempt, ...]) -> dict[str, tuple[int, str]]:
    return {attempt.name: (attempt.status, attempt.body) for attempt in attempts}


def told(answers: dict[str, Answer]) -> dict[str, tuple[int, str]]:
    return {name: (answer.status, answer.body) for name, answer in answers.items()}


def test_a_handshake_is_refused_with_its_status_and_a_constant_text(arena: Site, tag: str) -> None:
    answers = attempt_all(arena, tag, ATTEMPTS)

    assert told(answers) == expected(ATTEMPTS)
    for answer in answers.values():
        assert_not_upgraded(answer)
        assert MARKER not in answer.head


def test_a_request_that_means_two_things_is_refused(arena: Site, tag: str) -> None:
    answers = attempt_all(arena, tag, OWN_ATTEMPTS)

    for answer in answers.values():
        assert_not_upgraded(answer)
        assert 400 <= answer.status < 600
    if arena.kind == "own":
        assert told(answers) == expected(OWN_ATTEMPTS)
        assert {answer.rest for answer in answers.values()} == {b""}
        assert not [name for name, answer in answers.items() if MARKER in answer.head]


@pytest.mark.parametrize(
    "value", ["websocketfoo", "h2c", "web socket", "websocket/13", "websocket;q=1"]
)
def test_another_upgrade_is_plain_http_and_told_what_the_address_is(
    arena: Site, tag: str, value: str
) -> None:
    answer = attempt_it(
        arena, Attempt("", 426, "", {"Upgrade": value}).request(tag, arena.address[1])
    )

    text = "This address is a WebSocket, open it with the WebSocket protocol.\n"
    assert (answer.status, answer.body) == (426, text)
    assert_not_upgraded(answer)


@pytest.mark.parametrize(
    "value",
    [
        f"chat\r\n X-{SECRET}: yes",
        f"chat\r\n\tX-{SECRET}: yes",
        f"chat\rX-{SECRET}: yes",
        f"chat\0X-{SECRET}",
        f"chat%0d%0aX-{SECRET}: yes",
        f"chat\x8d\x8aX-{SECRET}: yes",
        f"chat, X-{SECRET}",
        f"X-{SECRET}",
    ],
    ids=repr,
)
def test_no_trick_in_a_subprotocol_reaches_a_response_header(
    arena: Site, tag: str, value: str
) -> None:
    request = Attempt("", 0, "", {"Sec-WebSocket-Protocol": value}).request(tag, arena.address[1])

    with RawClient.dial(arena.address) as client:
        client.send_bytes(request)
        head = client.read_head()

    assert SECRET not in str(head)
    assert head.headers.get("sec-websocket-protocol") in (None, "chat")


def test_a_refusal_is_one_line_of_the_log(arena: Site, tag: str) -> None:
    for number, attempt in enumerate(ATTEMPTS):
        with RawClient.dial(arena.address) as client:
            client.send_bytes(attempt.request(f"{tag}-{number}", arena.address[1]))
            client.read_head()
    log = arena.server.log

    for number, attempt in enumerate(ATTEMPTS):
        (line,) = [
            line
            for line in log.splitlines()
            if "tina4_wsgi.upgrade" in line and f"/{tag}-{number}'" in line
        ]
        level = "INFO" if attempt.status in (401, 404) else "WARNING"
        assert line.startswith(f"{level} tina4_wsgi.upgrade refused ")
        assert f" from 127.0.0.1: {attempt.status} {attempt.body.strip()}" in line
    assert "Traceback" not in log


def test_a_request_that_means_two_things_is_one_line_of_the_log(arena: Site, tag: str) -> None:
    log_before = len(arena.server.log)
    attempt_all(arena, tag, OWN_ATTEMPTS)

    lines = [
        line
        for line in arena.server.log[log_before:].splitlines()
        if line.startswith(("WARNING", "ERROR"))
    ]
    assert "Traceback" not in arena.server.log
    if arena.kind == "own":
        assert lines == [
            f"WARNING tina4_wsgi.server refused {attempt.status} from 127.0.0.1: "
            f"{attempt.body.strip()}"
            for attempt in OWN_ATTEMPTS
        ]
