"""`tina4-wsgi doctor --url`: one upgrade request, and what its answer says about the way to the
app.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.command import run, serving
from tests.support.servers import Server

ROUTES = """
from gevent import monkey; monkey.patch_all()
from tina4_wsgi import App, Router

router = Router()


def nobody(request):
    return None


@router.websocket("/ws/open")
def x(connection, event, data):
    pass


router.websocket("/ws/private", x, auth=nobody)
app = App(router=router)
"""
ANSWER_S = 10.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("probed")
    (folder / "wsgi.py").write_text(ROUTES)
    with serving(folder) as running:
        yield running


def probe(tmp_path: Path, url: str, exit_code: int, *options: str) -> str:
    done = run(tmp_path, "doctor", "--url", url, *options)
    assert (done.returncode, done.stderr) == (exit_code, "")
    (line,) = done.stdout.splitlines()
    return line


@contextlib.contextmanager
def proxy(server: Server, change: Callable[[bytes], bytes]) -> Iterator[str]:
    """Forward one request, each line of its head changed, and send the answer back."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=forward, args=(listener, server.address, change))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(ANSWER_S)


def forward(
    listener: socket.socket, address: tuple[str, int], change: Callable[[bytes], bytes]
) -> None:
    client, _ = listener.accept()
    with client, socket.create_connection(address, ANSWER_S) as upstream:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(65_536)
        lines = [change(line) for line in head[:-4].split(b"\r\n")]
        upstream.sendall(b"\r\n".join([*filter(None, lines), b"", b""]))
        client.sendall(upstream.recv(65_536))


def without(name: bytes) -> Callable[[bytes], bytes]:
    return lambda line: b"" if line.startswith(name) else line


def test_a_route_that_can_be_reached_is_right(server: Server, tmp_path: Path) -> None:
    assert probe(tmp_path, f"{server.url}/ws/open", 0) == "nothing is wrong"
    assert probe(tmp_path, f"{server.url}/ws/open".replace("http", "ws"), 0) == "nothing is wrong"
    server.wait_for_log(
        r"(?s)close \w+ '/ws/open' 1000 .*close \w+ '/ws/open' 1000 "
    )  # no broken line in the numbers


def test_a_proxy_that_drops_upgrade_is_found_and_logged_once(
    server: Server, tmp_path: Path
) -> None:
    for _ in range(2):
        with proxy(server, without(b"Upgrade:")) as url:
            line = probe(tmp_path, f"{url}/ws/open", 1)

    assert " answers 426; a proxy on the way drops Upgrade or Connection: in nginx: " in line
    assert "proxy_set_header Upgrade $http_upgrade" in line
    assert server.log.count("the header Upgrade was lost on the way") == 1


def test_a_proxy_that_drops_connection_is_found(server: Server, tmp_path: Path) -> None:
    with proxy(server, without(b"Connection:")) as url:
        line = probe(tmp_path, f"{url}/ws/open", 1)

    assert " answers 400; a proxy on the way drops Upgrade or Connection: in nginx: " in line


def test_a_proxy_that_changes_the_host_makes_origins_fail(server: Server, tmp_path: Path) -> None:
    with proxy(server, lambda line: b"Host: backend" if line.startswith(b"Host:") else line) as url:
        line = probe(tmp_path, f"{url}/ws/open", 1)

    assert f"the origin {url} is refused: let the proxy pass the Host on" in line


def test_an_origin_can_be_tried(server: Server, tmp_path: Path) -> None:
    line = probe(tmp_path, f"{server.url}/ws/open", 1, "--origin", "https://shop.example")

    assert "the origin https://shop.example is refused" in line
    assert "allowed_origins" in line


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/ws/nowhere", "answers 404; no WebSocket route"),
        ("/ws/private", "answers 401; the route asks"),
    ],
)
def test_other_refusals_are_explained(server: Server, tmp_path: Path, path: str, says: str) -> None:
    assert says in probe(tmp_path, server.url + path, 1)


def test_nobody_there_is_fatal(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    assert "no answer" in probe(tmp_path, f"http://127.0.0.1:{port}/ws/x", 1)


def test_what_is_no_address_is_named(tmp_path: Path) -> None:
    assert "'localhost' is no address" in probe(tmp_path, "localhost", 1)
