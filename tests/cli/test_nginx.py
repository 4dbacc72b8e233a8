"""`tina4-wsgi nginx`: what it prints is read by a real nginx, and passes WebSockets on."""

from __future__ import annotations

import urllib.request

import pytest
from websockets.sync.client import connect

from tests.support import servers
from tests.support.command import RUN_S, run, serving
from tests.support.nginx import nginx
from tina4_wsgi.cli.nginx import configuration, fixed_part
from tina4_wsgi.routing.router import Router

SERVER_BLOCK = "# Into the server block:\n"

APP = """
from tina4_wsgi import App, Router

@Router.websocket("/ws/chat/{room}")
def chat(connection, event, data):
    if event == "open":
        connection.send(f"{connection.params.room} {connection.ip}")

@Router.websocket("/ws/slow", ping_interval_s=50)
@Router.websocket("/ws/quiet", ping_interval_s=0)
@Router.websocket("/ws/odd name;{n:int}")
@Router.websocket('/ws/ünï "code')
def others(connection, event, data):
    if event == "open":
        connection.send("odd")

@Router.get("/hello")
def hello(request, response):
    return request.headers.get("Connection", "none")

app = App()
"""


def lay_out(printed: str) -> str:
    """Put it where its comments say."""
    for_http, for_server = printed.split(SERVER_BLOCK)
    return f"{for_http}\nserver {{\nlisten PORT;\n{for_server}\n}}\n"


def configuration_of(
    *paths: str, upstream: str = "127.0.0.1:7148", ping_interval_s: float = 25.0
) -> str:
    router = Router()
    for path in paths:
        router.websocket(path, lambda connection, event, data: None)
    return configuration([(route, ping_interval_s, 10.0) for route in router.routes], upstream)


def test_websockets_and_pages_pass_through_a_real_nginx(tmp_path):
    (tmp_path / "wsgi.py").write_text(APP)
    (tmp_path / "front").mkdir()

    with serving(tmp_path) as server:
        done = run(tmp_path, "nginx", "--upstream", f"127.0.0.1:{server.address[1]}")
        assert done.returncode == 0, done.stderr
        with nginx(lay_out(done.stdout), tmp_path / "front") as front:
            address = f"127.0.0.1:{front.address[1]}"
            with urllib.request.urlopen(f"http://{address}/hello", timeout=RUN_S) as page:
                assert page.read() == b"none"
            for path, answer in {
                "/ws/chat/red": "red 127.0.0.1",
                "/ws/slow": "odd",
                "/ws/slow/": "odd",
                "/ws/odd%20name%3B7": "odd",
                "/ws/%C3%BCn%C3%AF%20%22code": "odd",
            }.items():
                with connect(f"ws://{address}{path}", origin=f"http://{address}") as websocket:
                    assert websocket.recv(timeout=RUN_S) == answer


def test_a_unix_socket_may_stand_behind_it(tmp_path):
    (tmp_path / "front").mkdir()
    text = lay_out(configuration_of("/ws", upstream="unix:/run/shop.sock"))

    assert "proxy_pass http://unix:/run/shop.sock:;" in text
    with nginx(text, tmp_path / "front"):
        pass  # it was read, or it would not run


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("/ws", "/ws"),
        ("/ws/", "/ws"),
        ("/ws/chat/{room}", "/ws/chat/"),
        ("/ws/<int:n>/x", "/ws/"),
        ("/ws/user-{n:int}", "/ws/user-"),
        ("/{anything:path}", "/"),
        ("/", "/"),
    ],
)
def test_the_location_is_what_all_paths_of_a_route_begin_with(path, part):
    assert fixed_part(path) == part


def test_routes_that_begin_alike_share_a_location():
    printed = configuration_of("/ws/{a}", "/ws/{a}/{b}")

    assert printed.count("location /ws/ {") == 1
    assert "# /ws/{a}\n# /ws/{a}/{b}\nlocation" in printed


def test_a_route_that_may_be_anywhere_needs_no_second_location():
    printed = configuration_of("/{anything}")

    assert printed.count("location / {") == 1
    assert "proxy_set_header Upgrade" in printed


@pytest.mark.parametrize(
    ("interval_s", "timeout"), [(25.0, "60s"), (50.0, "110s"), (0.0, "86400s")]
)
def test_nginx_waits_longer_than_pings_take(interval_s, timeout):
    assert f"proxy_read_timeout {timeout};" in configuration_of("/ws", ping_interval_s=interval_s)


def test_without_websocket_routes_there_is_the_plain_location():
    printed = configuration_of()

    assert "location / {" in printed
    assert "Upgrade" not in printed.split(SERVER_BLOCK)[1]


@pytest.mark.parametrize("upstream", ["127.0.0.1:7148; evil", "http://a", "unix:run", "a b"])
def test_an_upstream_that_is_no_address_is_refused(tmp_path, upstream):
    done = run(tmp_path, "nginx", "--upstream", upstream)

    assert done.returncode == 2
    assert "expected HOST:PORT or unix:/PATH" in done.stderr


def test_the_root_of_this_repository_can_be_printed():
    done = run(servers.ROOT, "nginx")

    assert "location /ws/chat/ {" in done.stdout
