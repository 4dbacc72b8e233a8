"""What ends before the 101: the right status, a sentence, and no WebSocket."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import servers
from tests.support.raw import RawClient, client_frame
from tests.support.site import APPS, Site

MOST_CONNECTIONS = 12  # conftest.TIGHT_LIMITS
KEY = "dGhlIHNhbXBsZSBub25jZQ=="

# It reads bodies by itself, as servers written in C do; nothing leads from a request to its socket.
KEEPER = """
from io import BytesIO
from wsgiref.simple_server import make_server
from main import app

def serve(environ, start_response):
    environ |= {"SERVER_SOFTWARE": "Keeper/1.0", "wsgi.input": BytesIO()}
    return app(environ, start_response)

with make_server("127.0.0.1", 0, serve) as server:
    print(server.server_port, flush=True)
    server.serve_forever()
"""


class Answer(NamedTuple):
    """A refusal as it came."""

    status: int
    headers: dict[str, str]
    body: str


def handshake(
    path: str = "/ws/rooms/x", *, start: str = "GET {} HTTP/1.1", body: str = "", **fields: str
) -> bytes:
    """Lay out an upgrade; a field by its name with _ for -, and "" leaves one out; a newline makes
    it two.
    """
    wanted = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": KEY,
        **fields,
    }
    lines = [start.format(path)]
    for name, values in wanted.items():
        lines += [f"{name.replace('_', '-')}: {value}" for value in values.split("\n") if value]
    return ("\r\n".join([*lines, "", ""]) + body).encode("latin-1")


def ask(address: tuple[str, int], request: bytes) -> Answer:
    """Send a request and read the whole answer."""
    with RawClient.dial(address) as client:
        client.send_bytes(request)
        head = client.read_head()
        if "content-length" in head.headers:
            body = client.read_exactly(int(head.headers["content-length"]))
        else:
            body = client.read_to_end()
        return Answer(head.status, head.headers, body.decode())


@pytest.mark.parametrize(
    ("request_bytes", "status", "word"),
    [
        pytest.param(handshake("/ws/nowhere"), 404, "route", id="no such route"),
        pytest.param(handshake(Origin="https://evil.example"), 403, "origin", id="foreign origin"),
        pytest.param(handshake(Origin="null"), 403, "origin", id="null origin"),
        pytest.param(handshake("/ws/members/x/1"), 401, "login", id="auth gives none"),
        pytest.param(
            handshake("/ws/members/x/1?token=forbidden"), 403, "not you", id="auth raises"
        ),
        pytest.param(
            handshake("/ws/members/x/1?token=too-often"),
            429,
            "not so fast",
            id="auth gives an answer",
        ),
        pytest.param(handshake("/ws/broken-auth/x/1"), 500, "server", id="auth fails"),
        pytest.param(handshake(Sec_WebSocket_Version="8"), 426, "13", id="old version"),
        pytest.param(handshake(Sec_WebSocket_Version=""), 426, "13", id="no version"),
        pytest.param(handshake(Sec_WebSocket_Key=""), 400, "Key", id="no key"),
        pytest.param(handshake(Sec_WebSocket_Key="c2hvcnQ="), 400, "Key", id="short key"),
        pytest.param(handshake(Sec_WebSocket_Key=f"{KEY}\n{KEY}"), 400, "", id="two keys"),
        pytest.param(handshake(Host=""), 400, "", id="no host"),
        pytest.param(handshake(Host="one.example\ntwo.example"), 400, "", id="two hosts"),
        pytest.param(handshake(Content_Length="5", body="hello"), 400, "body", id="a body"),
        pytest.param(
            handshake(Transfer_Encoding="chunked", body="5\r\nhello\r\n0\r\n\r\n"),
            400,
            "body",
            id="a chunked body",
        ),
        pytest.param(handshake("/ws/rooms/%FF%FE"), 400, "UTF-8", id="path not utf-8"),
        pytest.param(
            handshake("/ws/rooms/x%00REMOTE_USER=admin"), 400, "control", id="a nul in the path"
        ),
        pytest.param(
            handshake("/ws/rooms/x%0D%0AX-Admin:1"), 400, "control", id="a line end in the path"
        ),
        pytest.param(handshake("/ws/rooms/%7f/"), 400, "control", id="a delete in the path"),
        pytest.param(
            handshake("/ws/members/x/01"), 404, "route", id="a number of another spelling"
        ),
        pytest.param(
            handshake("/ws/members/x/%D9%A1/"), 404, "route", id="a number in other digits"
        ),
        pytest.param(handshake(start="GET {} HTTP/1.0"), 400, "HTTP/1.1", id="http 1.0"),
        pytest.param(handshake(Connection="close"), 400, "Upgrade", id="no connection upgrade"),
        pytest.param(
            handshake(Connection="Upgradeable"), 400, "Upgrade", id="something like upgrade"
        ),
        pytest.param(handshake(start="POST {} HTTP/1.1"), 405, "GET", id="post"),
        pytest.param(
            handshake(Sec_WebSocket_Protocol="a b"), 400, "Protocol", id="bad subprotocol"
        ),
    ],
)
def test_a_bad_upgrade_is_refused_with_its_status_and_a_sentence(
    site: Site, request_bytes: bytes, status: int, word: str
) -> None:
    answer = ask(site.address, request_bytes)

    assert answer.status == status
    assert word in answer.body
    assert answer.body.strip()
    assert "Traceback" not in answer.body
    assert site.wait_for_state(lambda state: state["connections"] == 0)


def test_a_wrong_version_is_told_the_right_one(site: Site) -> None:
    answer = ask(site.address, handshake(Sec_WebSocket_Version="8"))

    assert answer.headers["sec-websocket-version"] == "13"


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(handshake(Origin="http://localhost"), id="own origin"),
        pytest.param(
            handshake(Origin="https://LOCALHOST:443", Host="localhost:443"),
            id="own origin behind tls",
        ),
        pytest.param(
            handshake("/ws/listed/x", Origin="https://partner.example"), id="listed origin"
        ),
        pytest.param(handshake(), id="no browser"),
        pytest.param(
            handshake(Upgrade="WebSocket", Connection="keep-alive, UPGRADE"), id="other letter case"
        ),
    ],
)
def test_a_good_upgrade_is_taken(site: Site, request_bytes: bytes) -> None:
    with RawClient.dial(site.address) as client:
        client.send_bytes(request_bytes)

        assert client.read_head().status == 101


def test_a_refused_client_that_sends_frames_all_the_same_is_not_heard(site: Site, tag: str) -> None:
    with RawClient.dial(site.address) as client:
        client.send_bytes(
            handshake(f"/ws/ends/x?tag={tag}", Origin="https://evil.example")
            + client_frame(0x1, b"a")
        )
        assert client.read_head().status == 403

    site.wait_for_state(lambda state: state["connections"] == 0)
    assert site.journal.lines(tag) == []


def test_over_the_cap_an_upgrade_is_503_and_later_welcome_again(tight_site: Site) -> None:
    site = tight_site
    site.wait_for_state(lambda state: state["connections"] == 0)
    with contextlib.ExitStack() as opened:
        clients = [
            opened.enter_context(RawClient.open(site.address, "/ws/counted/x"))
            for _ in range(MOST_CONNECTIONS)
        ]

        answer = ask(site.address, handshake("/ws/counted/x"))

        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
        assert answer.body.strip()
        assert [client.read_text() for client in clients] == ["welcome"] * MOST_CONNECTIONS
        clients[0].close()
        site.wait_for_state(lambda state: state["connections"] == MOST_CONNECTIONS - 1)
        opened.enter_context(RawClient.open(site.address, "/ws/counted/x"))


@contextlib.contextmanager
def keeper(folder: Path) -> Iterator[tuple[str, int]]:
    """Run apps/main.py under a server that keeps its sockets."""
    env = {
        "PYTHONPATH": str(servers.ROOT),
        "JOURNAL": str(folder / "journal"),
        "PATH": "/usr/bin:/bin",
    }
    with (
        (folder / "server.log").open("wb") as log,
        subprocess.Popen(
            [*servers.PYTHON, "-c", KEEPER], cwd=APPS, env=env, stdout=subprocess.PIPE, stderr=log
        ) as process,
    ):
        try:
            assert process.stdout is not None
            yield servers.LOOPBACK, int(process.stdout.readline())
        finally:
            process.kill()


def test_a_server_that_keeps_its_sockets_is_told_by_501_what_to_run_instead(
    tmp_path: Path,
) -> None:
    with keeper(tmp_path) as address:
        answer = ask(address, handshake())
        page = ask(address, b"GET /state HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")

    assert answer.status == 501
    assert "gunicorn" in answer.body
    assert "tina4-wsgi serve" in answer.body
    assert page.status == 200  # HTTP is served all the same
