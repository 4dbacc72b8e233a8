"""A legacy application inside an App answers to the letter as it does alone, and has its own
WebSockets.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.raw import ANSWER_S, RawClient

APPS = Path(__file__).with_name("apps")
GWS = "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"
KINDS = ("own", "gevent", "gevent_pywsgi", "sync")
LARGE = bytes(range(256)) * 4_096

Served = dict[str, servers.Server]


def request(
    target: str, method: str = "GET", *fields: str, body: bytes = b"", version: str = "1.1"
) -> bytes:
    lines = [
        f"{method} {target} HTTP/{version}",
        "Host: localhost",
        "Connection: close",
        *fields,
        "",
        "",
    ]
    return "\r\n".join(lines).encode("latin-1") + body


def posted(target: str, body: bytes) -> bytes:
    return request(target, "POST", f"Content-Length: {len(body)}", body=body)


CHUNKED = b"3\r\nabc\r\n8;x=y\r\ndefghijk\r\n0\r\n\r\n"
REQUESTS = {
    "write": request("/write"),
    "write, HEAD": request("/write", "HEAD"),
    "write, HTTP/1.0": request("/write", version="1.0"),
    "generator": request("/generator"),
    "generator, HTTP/1.0": request("/generator", version="1.0"),
    "lazily": request("/lazily"),
    "failing early": request("/failing-early"),
    "failing late": request("/failing-late"),
    "raising": request("/raising"),
    "file": request("/file"),
    "file, HEAD": request("/file", "HEAD"),
    "file from memory": request("/memory"),
    "body": posted("/echo", b"a body of some bytes"),
    "no body": posted("/echo", b""),
    "chunked body": request("/echo", "POST", "Transfer-Encoding: chunked", body=CHUNKED),
    "body read in part": posted("/lines", b"first\nsecond\nthird"),
    "body ignored": posted("/ignoring", b"never read"),
    "nothing": request("/nothing"),
    "unchanged": request("/unchanged", "GET", 'If-None-Match: "1"'),
    "cookies": request("/cookies"),
    "encoded path": request("/a%20b/%C3%A4;c=d?q=%FF&r=+"),
    "path that is not UTF-8": request("/%FF/x"),
    "doubled slash": request("//double//slash/"),
    "dots": request("/a/../b/./c"),
    "path of a socket of ours": request("/ws/red"),
    "path of a socket of ours, with a slash": request("/ws/red/"),
    **{
        f"path of a socket of ours, {method}": request("/ws/red", method)
        for method in ("HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
    },
    "path of a socket of ours, another upgrade": request(
        "/ws/red", "GET", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"
    ),
    "PUT": request("/x", "PUT", "Content-Length: 0"),
    "PATCH": request("/x", "PATCH", "Content-Type: a/b", "Content-Length: 1", body=b"x"),
    "DELETE": request("/x", "DELETE"),
    "OPTIONS": request("/x", "OPTIONS"),
    "HEAD": request("/x", "HEAD"),
    "two cookies": request("/x", "GET", "Cookie: a=1; b=2"),
    "upgrade to h2c": request("/x", "GET", "Upgrade: h2c"),
    "two on one connection": posted("/echo", b"one").replace(b"Connection: close\r\n", b"")
    + request("/ignoring"),
}


@contextlib.contextmanager
def serving(kind: str, target: str, folder: Path) -> Iterator[servers.Server]:
    """Serve one of the applications of apps/legacy.py; a name of gunicorn's is its worker class."""
    log_path, large_file = folder / "log", folder / "large.bin"
    large_file.write_bytes(LARGE)
    env = {"PYTHONPATH": str(servers.ROOT), "LARGE_FILE": str(large_file)}
    if kind == "own":
        running = servers.own(target, APPS, log_path, env=env)
    else:
        running = servers.gunicorn(target, APPS, log_path, worker_class=kind, env=env)
    with running as server:
        try:
            yield server
        finally:
            server.end()


@pytest.fixture(scope="module", params=KINDS)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Each of the applications under one kind of server."""
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(
                serving(
                    request.param,
                    f"legacy:{name}",
                    tmp_path_factory.mktemp(f"{request.param}-{name}"),
                )
            )
            for name in ("bare", "mounted", "between_validators")
        }


def exchange(server: servers.Server, data: bytes) -> bytes:
    """Send these bytes and give all that comes, without the date."""
    with socket.create_connection(server.address, ANSWER_S) as sock, RawClient(sock) as client:
        client.send_bytes(data)
        return re.sub(rb"\r\nDate: [^\r]*", b"", client.read_to_end())


def body_of(answer: bytes) -> bytes:
    """Give the body of an answer; a server cuts it in chunks of its own when nobody told it the
    length.
    """
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"\r\nTransfer-Encoding: chunked" not in head:
        return body
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        whole, body = whole + body[:length], body[length + 2 :]
    return whole


@pytest.mark.parametrize("name", REQUESTS)
def test_inside_an_app_the_answer_is_the_same_to_the_byte(served, name):
    alone = exchange(served["bare"], REQUESTS[name])

    assert exchange(served["mounted"], REQUESTS[name]) == alone
    assert alone.startswith(b"HTTP/1.")


@pytest.mark.parametrize(
    "name", [name for name in REQUESTS if name not in ("failing late", "raising")]
)
def test_validators_on_both_sides_find_nothing_wrong(served, name):
    body = body_of(exchange(served["between_validators"], REQUESTS[name]))

    assert body == body_of(exchange(served["bare"], REQUESTS[name]))
    assert "AssertionError" not in served["between_validators"].log


def test_an_error_that_comes_too_late_cuts_the_answer_and_is_logged(served):
    server = served["mounted"]

    answer = exchange(server, REQUESTS["failing late"])

    assert answer.endswith(b"a part")
    assert "ValueError: too late" in server.wait_for_log("too late").string


def test_a_generator_is_closed_at_its_end(served):
    server = served["mounted"]

    exchange(server, REQUESTS["generator"])

    server.wait_for_log("pieces are closed")


def test_a_generator_is_closed_when_the_client_has_gone(served):
    server = served["mounted"]

    with socket.create_connection(server.address, ANSWER_S) as sock:
        sock.sendall(request("/endless"))
        assert sock.recv(1)

    server.wait_for_log("the endless one is closed")


def test_a_file_arrives_whole(served):
    assert body_of(exchange(served["mounted"], REQUESTS["file"])) == LARGE


def test_a_file_in_the_servers_own_wrapper_arrives_and_is_closed(served):
    body = body_of(exchange(served["mounted"], request("/own-wrapper")))

    assert body == b"wrapped"
    served["mounted"].wait_for_log("the file is closed")


def test_a_client_that_waits_is_told_to_go_on(served):
    server = served["mounted"]
    head = request("/echo", "POST", "Content-Length: 4", "Expect: 100-continue")

    with RawClient(socket.create_connection(server.address, ANSWER_S)) as client:
        client.send_bytes(head)
        interim = client.read_head()
        client.send_bytes(b"body")
        final = client.read_head()

        assert (interim.status, final.status) == (100, 200)
        assert client.read_exactly(4) == b"body"


@pytest.fixture(scope="module", params=["own", GWS])
def gws_kind(request: pytest.FixtureRequest) -> str:
    """Where gevent-websocket's handler runs."""
    return str(request.param)


@pytest.fixture(scope="module")
def legacy_sockets(
    gws_kind: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[servers.Server]:
    with serving(gws_kind, "legacy:mounted", tmp_path_factory.mktemp("sockets")) as server:
        yield server


def talk(server: servers.Server, path: str) -> str:
    with RawClient.open(server.address, path) as client:
        client.send_text("hi")
        text = client.read_text()
        client.send_close()
        client.read_to_end()
        return text


def test_a_legacy_application_has_its_own_sockets_beside_ours(legacy_sockets):
    assert talk(legacy_sockets, "/theirs") == "legacy b'/theirs': hi"
    assert talk(legacy_sockets, "/ws/red") == "ours: hi"


def test_a_legacy_socket_may_have_a_path_that_is_not_utf8(legacy_sockets):
    assert talk(legacy_sockets, "/theirs/%FF") == "legacy b'/theirs/\\xff': hi"


def test_a_legacy_socket_beside_ours_leaves_no_traceback(legacy_sockets):
    talk(legacy_sockets, "/theirs")

    assert "Traceback" not in legacy_sockets.log


def test_a_resource_of_gevent_websocket_keeps_its_subprotocol(gws_kind, tmp_path):
    asked = [("Sec-WebSocket-Protocol", "legacy.v1")]

    with (
        serving(gws_kind, "legacy:resource", tmp_path) as server,
        RawClient.dial(server.address) as client,
    ):
        head = client.upgrade("/theirs", asked)
        client.send_text("hi")

        assert head.headers.get("sec-websocket-protocol") == "legacy.v1"
        assert client.read_text() == "resource: hi"


def test_the_subprotocol_of_a_resource_is_none_of_ours(gws_kind, tmp_path):
    asked = [("Sec-WebSocket-Protocol", "legacy.v1")]

    with (
        serving(gws_kind, "legacy:resource", tmp_path) as server,
        RawClient.dial(server.address) as client,
    ):
        head = client.upgrade("/ws/red", asked)

        assert "sec-websocket-protocol" not in head.headers


@pytest.mark.parametrize("worker_class", ["gevent", "gevent_pywsgi"])
def test_an_upgrade_behind_a_middleware_that_replaces_the_input_is_answered_501(
    worker_class, tmp_path
):
    with (
        serving(worker_class, "legacy:between_validators", tmp_path) as server,
        RawClient.dial(server.address) as client,
    ):
        head = client.ask_upgrade("/ws/red", "dGhlIHNhbXBsZSBub25jZQ==")
        body = client.read_exactly(int(head.headers["content-length"]))

    assert head.status == 501
    assert b"has replaced wsgi.input" in body
    assert "Traceback" not in server.log
