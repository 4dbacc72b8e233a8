"""What is asked for decides what is answered, alike under our own server and gunicorn: root paths,
odd Upgrade fields, paths that no route has.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.raw import ANSWER_S, RawClient, request_head

APPS = Path(__file__).with_name("apps")
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
KINDS = ("own", "gunicorn")


@contextlib.contextmanager
def serving(
    kind: str, target: str, folder: Path, *options: str, **env: str
) -> Iterator[servers.Server]:
    start = servers.own if kind == "own" else servers.gunicorn
    env = {"PYTHONPATH": str(servers.ROOT), **env}
    with start(f"origins:{target}", APPS, folder / "log", *options, env=env) as server:
        yield server


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def server(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """An App with a health page and numbers."""
    with serving(kind, "app", tmp_path_factory.mktemp("app"), METRICS="/metrics") as started:
        yield started
        started.end()


@pytest.fixture(scope="module")
def site(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """A Flask application, wrapped."""
    with serving(kind, "site", tmp_path_factory.mktemp("site")) as started:
        yield started
        started.end()


def exchange(server: servers.Server, data: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send one request, read to the end; status, fields in lower case, body."""
    with RawClient(socket.create_connection(server.address, ANSWER_S)) as client:
        client.send_bytes(data)
        head = client.read_head()
        if head.headers.get("connection") == "keep-alive":
            # gunicorn looks for "close" alone, and would wait two seconds for another request.
            client.socket.shutdown(socket.SHUT_WR)
        return head.status, head.headers, client.read_to_end()


def request(method: str, path: str, *fields: str, version: str = "1.1") -> bytes:
    host = ["Host: localhost"] if version == "1.1" else []
    lines = [f"{method} {path} HTTP/{version}", *host, "Connection: close", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


# -- pages of our own


@pytest.mark.parametrize("path", ["/health", "/health/", "/health//", "/metrics", "/metrics/"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_our_own_pages_say_what_they_take(server, path, version):
    assert exchange(server, request("GET", path, version=version))[0] == 200
    status, fields, body = exchange(server, request("OPTIONS", path, version=version))

    assert (status, fields["allow"], body) == (200, "GET, HEAD, OPTIONS", b"")
    status, fields, _ = exchange(
        server, request("POST", path, "Content-Length: 0", version=version)
    )
    assert (status, fields["allow"]) == (405, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize("path", ["/healthy", "/health/x", "//health", "/metrics/x"])
def test_what_only_looks_like_one_is_none(server, path):
    assert exchange(server, request("GET", path))[0] == 404


@pytest.mark.parametrize(
    "upgrade", ["h2c", "TLS/1.0", "", "h2c, TLS/1.0", "websockets", "web socket", ",", "HTTP/2.0"]
)
@pytest.mark.parametrize("path", ["/health", "/metrics", "/about"])
def test_an_upgrade_to_something_else_hides_no_page(server, path, upgrade):
    fields = (f"Upgrade: {upgrade}", "HTTP2-Settings: AAMAAABk")

    assert exchange(server, request("GET", path, *fields))[0] == 200
    assert (
        exchange(server, request("GET", path, *fields).replace(b"close", b"Upgrade, close"))[0]
        == 200
    )


# -- refusals


@pytest.mark.parametrize("version", ["8", "", "99", "13, 8"])
def test_a_wrong_version_is_told_both_what_is_spoken_and_by_what_field(server, version):
    fields = [("Sec-WebSocket-Version", version), ("Connection", "Upgrade, close")]
    data = request_head("/ws/red", "localhost", KEY, fields)

    status, answered, _ = exchange(server, data)

    assert (status, answered["upgrade"], answered["sec-websocket-version"]) == (
        426,
        "websocket",
        "13",
    )


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_a_route_of_websockets_asks_for_the_upgrade(server, method):
    status, fields, _ = exchange(server, request(method, "/ws/red"))

    assert (status, fields["upgrade"]) == (426, "websocket")


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT", "OPTIONS"])
def test_a_handshake_by_another_method_is_told_the_right_one(server, method):
    data = request_head("/ws/red", "localhost", KEY, [("Connection", "Upgrade, close")])
    data = data.replace(b"GET", method.encode(), 1)

    status, fields, _ = exchange(server, data)

    assert (status, fields["allow"]) == (405, "GET")


# -- paths that no route has


@pytest.mark.parametrize("path", ["/ws/typo", "/", "/ws/known/more", "/ws/%FF", "/ws/typo?a=b"])
@pytest.mark.parametrize("upgrade", ["websocket", "WebSocket", "h2c, websocket"])
def test_an_upgrade_that_nobody_serves_is_answered_as_a_request(site, path, upgrade):
    head = request_head(
        path, "localhost", KEY, [("Upgrade", upgrade), ("Connection", "Upgrade, close")]
    )

    status, _, body = exchange(site, head)

    assert status == 404
    assert b"Not Found" in body


def test_an_application_that_takes_its_socket_itself_has_it(tmp_path):
    # As flask-sock does; under gunicorn that ends the worker's loop by an exception of its own.
    limits = {"TINA4_WS_HANDSHAKE_TIMEOUT_S": "0.2", "TINA4_WS_KEEPALIVE_TIMEOUT_S": "0.2"}
    with (
        serving("own", "beside", tmp_path, **limits) as server,
        RawClient.dial(server.address) as client,
    ):
        assert client.ask_upgrade("/theirs", KEY).status == 101
        assert client.read_text() == "hi"
        with RawClient.dial(server.address) as silent:
            assert silent.read_to_end() == b""  # longer than any request may take
        client.send_close()
        assert client.read_to_end() == b"\x88\x00"

        with RawClient.open(server.address, "/ws/red") as ours:
            ours.send_text("ours")
            assert ours.read_text() == "ours"
    assert "Traceback" not in server.log


# -- a root path


@pytest.mark.parametrize(
    ("kind", "options", "env"),
    [
        ("gunicorn", (), {"SCRIPT_NAME": "/shop"}),
        ("own", (), {"SCRIPT_NAME": "/shop"}),
        ("own", (), {"SCRIPT_NAME": "/shop/"}),
        ("own", (), {"TINA4_WS_ROOT_PATH": "/shop"}),
        (
            "own",
            ("--root-path", "/shop"),
            {"TINA4_WS_ROOT_PATH": "/other", "SCRIPT_NAME": "/third"},
        ),
        ("own", ("--root-path", "/shop", "--workers", "2"), {}),
    ],
)
def test_below_a_root_path_pages_and_sockets_are_found(kind, options, env, tmp_path):
    with serving(kind, "site", tmp_path, *options, **env) as server:
        assert exchange(server, request("GET", "/shop/page"))[2] == b"/shop /shop/page"
        with RawClient.open(server.address, "/shop/ws/known") as client:
            assert client.read_text() == "/shop /shop/page"
        assert exchange(server, request("GET", "/page"))[0] == 500  # as gunicorn has it
        server.end()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """The App with its pages below a root path, under our own server."""
    folder = tmp_path_factory.mktemp("shop")
    with serving("own", "app", folder, "--root-path", "/shop") as started:
        yield started


@pytest.mark.parametrize(
    "path", ["/", "/shopping/about", "/sho", "/SHOP/about", "/health", "//shop/about"]
)
def test_what_is_not_below_it_was_not_meant_for_this_server(shop, path):
    before = shop.log.count("refused 500 ")

    status, _, body = exchange(shop, request("GET", path))

    assert (status, body) == (
        500,
        b"the path is not below the root path; let the proxy pass on whole paths\n",
    )
    shop.wait_for_log(rf"(?s)(refused 500 [^\n]*root path.*?){{{before + 1}}}")


@pytest.mark.parametrize("root", ["/käse/brot", "/a+b", "/~ada"])
def test_a_root_path_is_written_as_browsers_show_it(root, tmp_path):
    quoted = root.replace("ä", "%C3%A4").encode().decode("latin-1")
    with serving("own", "app", tmp_path, "--root-path", f"{root}/") as server:
        assert exchange(server, request("GET", f"{quoted}/health"))[0] == 200
        assert f'"root":"{root}"'.encode() in exchange(server, request("GET", f"{quoted}/about"))[2]
        with RawClient.open(server.address, f"{quoted}/ws/red") as client:
            client.send_text("hi")
            assert client.read_text() == "hi"


def test_options_of_the_whole_server_are_below_no_path(shop):
    assert exchange(shop, request("OPTIONS", "*"))[0] != 500


@pytest.mark.parametrize("root", ["shop", "/shop?x", "/../x", "https://shop.example"])
def test_a_root_path_that_is_none_is_refused_at_the_start(root, tmp_path):
    command = [
        *servers.PYTHON,
        "-m",
        "tina4_wsgi",
        "serve",
        "origins:app",
        "--port",
        "0",
        "--root-path",
        root,
    ]
    process = servers.start(command, APPS, tmp_path / "log", {"PYTHONPATH": str(servers.ROOT)})

    assert process.wait(servers.READY_S) == 2
    assert "expected a path as a browser shows it" in (tmp_path / "log").read_text()
