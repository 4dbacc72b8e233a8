"""Behind a real nginx, with the configuration that the documentation gives: as it stands there, but
for the ports.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support import servers
from tests.support.markdown import blocks_of
from tests.support.nginx import nginx
from tests.support.raw import ANSWER_S, CLOSE, TEXT, RawClient, client_frame, request_head

APPS = Path(__file__).with_name("apps")
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
STRANGER = "127.0.0.2"  # an address of this machine that no setting trusts
TRUSTED = {"TINA4_WS_TRUSTED_PROXIES": "127.0.0.1", "PYTHONPATH": str(servers.ROOT)}
FORGED = (
    ("X-Forwarded-For", "203.0.113.9"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Proto", "https"),
)


def block_of(page: str, needle: str) -> str:
    """Give the nginx block of a page that has this in it."""
    (found,) = (
        one
        for one in blocks_of(servers.ROOT / page)
        if one.language == "nginx" and needle in one.text
    )
    return found.text


def placed(text: str, upstream: str) -> str:
    """Put a block of the documentation where the test's servers are."""
    assert "http://127.0.0.1:7148" in text
    return text.replace("listen 80;", "listen PORT;").replace("http://127.0.0.1:7148", upstream)


def whole_site() -> str:
    return block_of("README.md", "location / {")


def below_a_path() -> str:
    return block_of("docs/deployment.md", "location /live/ {")


class Site(NamedTuple):
    """A server with apps/proxied.py, and nginx in front of it."""

    server: servers.Server
    front: servers.Server


@contextlib.contextmanager
def run(kind: str, text: str, folder: Path, *options: str, upstream: str = "") -> Iterator[Site]:
    (folder / "nginx").mkdir()
    start = servers.own if kind == "own" else servers.gunicorn
    with (
        start("proxied:app", APPS, folder / "log", *options, env=TRUSTED) as server,
        nginx(placed(text, upstream or server.url), folder / "nginx") as front,
    ):
        yield Site(server, front)


@pytest.fixture(scope="module", params=["own", "gunicorn"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    with run(
        request.param, whole_site(), tmp_path_factory.mktemp(f"nginx-{request.param}")
    ) as started:
        yield started


@pytest.fixture(scope="module")
def site_below(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with run("gunicorn", below_a_path(), tmp_path_factory.mktemp("below")) as started:
        yield started


def dial(server: servers.Server, source: str = servers.LOOPBACK) -> RawClient:
    return RawClient(socket.create_connection(server.address, ANSWER_S, (source, 0)))


def ask(
    server: servers.Server, method: str, path: str, source: str = servers.LOOPBACK, fields: Any = ()
) -> Any:
    """Make one request; gives the answer and its body."""
    connection = http.client.HTTPConnection(
        *server.address, timeout=ANSWER_S, source_address=(source, 0)
    )
    with contextlib.closing(connection):
        connection.request(
            method, path, body="hello" if method == "POST" else None, headers=dict(fields)
        )
        answer = connection.getresponse()
        return answer, answer.read().decode()


def about(server: servers.Server, source: str, fields: Any = ()) -> Any:
    return json.loads(ask(server, "GET", "/about", source, fields)[1])


def test_a_page_says_what_the_proxy_knows_of_its_client(site):
    assert about(site.front, STRANGER) == {
        "ip": STRANGER,
        "scheme": "http",
        "host": f"127.0.0.1:{site.front.address[1]}",
    }


def test_a_message_goes_round_behind_the_proxy(site):
    with dial(site.front, STRANGER) as client:
        client.upgrade("/ws/red")
        client.send_text("hi")

        assert client.read_text() == f"{STRANGER} on /ws/red: hi"


def test_frames_right_behind_the_handshake_pass_the_proxy(site):
    with dial(site.front, STRANGER) as client:
        client.send_bytes(request_head("/ws/early", "a", KEY) + client_frame(TEXT, b"early"))

        assert client.read_head().status == 101
        assert client.read_text() == f"{STRANGER} on /ws/early: early"


def test_a_page_may_connect_to_where_it_came_from_on_any_port(site):
    with dial(site.front) as client:
        client.upgrade("/ws/red", [("Origin", site.front.url)])


def test_a_page_of_another_port_may_not_connect(site):
    port = site.front.address[1]
    with dial(site.front) as client:
        head = client.ask_upgrade("/ws/red", KEY, [("Origin", f"http://127.0.0.1:{port - 1}")])

    assert head.status == 403


def test_what_a_client_claims_of_itself_is_not_believed_behind_the_proxy(site):
    forged = [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https")]

    seen = about(site.front, STRANGER, forged)
    with dial(site.front, STRANGER) as client:
        client.upgrade("/ws/red", forged)
        client.send_text("hi")
        heard = client.read_text()

    assert (seen["ip"], seen["scheme"]) == (STRANGER, "http")
    assert heard == f"{STRANGER} on /ws/red: hi"


def test_an_origin_that_goes_with_a_forged_host_may_not_connect_through_the_proxy(site):
    with dial(site.front, STRANGER) as client:
        head = client.ask_upgrade(
            "/ws/red",
            KEY,
            [("X-Forwarded-Host", "evil.example"), ("Origin", "http://evil.example")],
        )

    assert head.status == 403


def test_a_peer_that_is_no_trusted_proxy_is_not_believed(site):
    seen = about(site.server, STRANGER, FORGED)
    with dial(site.server, STRANGER) as client:
        head = client.ask_upgrade("/ws/red", KEY, [*FORGED, ("Origin", "https://evil.example")])

    assert seen == {"ip": STRANGER, "scheme": "http", "host": f"127.0.0.1:{site.server.address[1]}"}
    assert head.status == 403


def test_a_refusal_passes_the_proxy(site):
    with dial(site.front) as client:
        head = client.ask_upgrade("/nothing", KEY)

    assert head.status == 404


def test_a_proxy_without_the_two_headers_gets_426(site, tmp_path):
    bare = "server { listen PORT; location / { proxy_pass http://127.0.0.1:7148; } }"

    with nginx(placed(bare, site.server.url), tmp_path) as front, dial(front) as client:
        head = client.ask_upgrade("/ws/red", KEY)

    assert head.status == 426


def test_below_a_path_pages_and_sockets_are_found(site_below):
    front = site_below.front

    page = ask(front, "GET", "/live/about", STRANGER)[1]
    with dial(front, STRANGER) as client:
        client.upgrade("/live/ws/red", [("Origin", front.url)])
        client.send_text("hi")
        heard = client.read_text()

    assert json.loads(page)["ip"] == STRANGER
    assert heard == f"{STRANGER} on /ws/red: hi"


def test_a_group_is_the_same_below_a_path_and_without(site_below):
    with dial(site_below.front) as below, dial(site_below.server) as direct:
        below.upgrade("/live/ws/red")
        direct.upgrade("/ws/red")
        ask(site_below.server, "POST", "/push/red")

        assert [client.read_text() for client in (below, direct)] == ["hello", "hello"]


def test_a_redirect_stays_below_the_path(site_below):
    answer, _ = ask(site_below.front, "GET", "/live/away")

    assert answer.status == 302
    assert answer.headers["Location"].endswith("/live/about")


def test_on_a_unix_socket_the_proxy_is_believed(tmp_path):
    path = tmp_path / "web.sock"
    bind = ["--bind", f"unix:{path}"]  # besides its port

    with run("gunicorn", whole_site(), tmp_path, *bind, upstream=f"http://unix:{path}:") as site:
        seen = about(site.front, STRANGER, FORGED[:1])
        with dial(site.front, STRANGER) as client:
            client.upgrade("/ws/red")
            client.send_text("hi")
            heard = client.read_text()

    assert seen["ip"] == STRANGER
    assert heard == f"{STRANGER} on /ws/red: hi"


def test_a_server_that_stops_says_1001_through_the_proxy(tmp_path):
    with run("gunicorn", whole_site(), tmp_path) as site, dial(site.front) as client:
        client.upgrade("/ws/red")
        site.server.process.send_signal(signal.SIGTERM)

        frame = client.read_frame()
        client.send_close(1001)
        client.read_to_end()
        assert (frame.opcode, frame.close_code) == (CLOSE, 1001)
        assert site.server.process.wait(servers.STOP_S) == 0


# -- a proxy that changes the host, the port, or the path

LOCATION = """server {{ listen PORT; location / {{
    proxy_pass http://127.0.0.1:7148;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
    {} }} }}"""


def fronted(
    site: Site, folder: Path, lines: str
) -> contextlib.AbstractContextManager[servers.Server]:
    """Put another nginx in front of the server, with these lines in its location."""
    return nginx(placed(LOCATION.format(lines), site.server.url), folder)


@pytest.mark.parametrize(
    "lines",
    [
        "proxy_set_header Host $http_host;",
        "proxy_set_header Host $host; proxy_set_header X-Forwarded-Host $http_host;",
        "proxy_set_header Host $host; proxy_set_header X-Forwarded-Port $server_port;",
        "proxy_set_header X-Forwarded-Host $host; proxy_set_header X-Forwarded-Port $server_port;",
        'proxy_set_header Forwarded "for=$remote_addr;proto=$scheme;host=\\"$http_host\\"";',
        'proxy_set_header Host $host; proxy_set_header Forwarded "host=\\"$host:$server_port\\"";',
    ],
)
def test_a_proxy_that_is_trusted_tells_host_and_port_in_many_ways(site, tmp_path, lines):
    with fronted(site, tmp_path, lines) as front, dial(front) as page, dial(front) as stranger:
        page.upgrade("/ws/red", [("Origin", front.url)])

        port = front.address[1]
        assert (
            stranger.ask_upgrade(
                "/ws/red", KEY, [("Origin", f"http://127.0.0.1:{port - 1}")]
            ).status
            == 403
        )


def test_a_host_that_has_lost_its_port_is_refused_with_what_to_do(site, tmp_path):
    with fronted(site, tmp_path, "proxy_set_header Host $host;") as front, dial(front) as client:
        assert client.ask_upgrade("/ws/red", KEY, [("Origin", front.url)]).status == 403

        line = site.server.wait_for_log(f"refused '/ws/red' .*{front.url}.*").group()
    assert "the request came for 'http(s)://127.0.0.1'" in line
    assert "proxy_set_header Host $http_host" in line


@pytest.mark.parametrize("word", ["https", "wss", "WSS"])
def test_a_proxy_that_ends_tls_makes_pages_of_https_the_own_ones(site, tmp_path, word):
    lines = f"proxy_set_header Host shop.example; proxy_set_header X-Forwarded-Proto {word};"
    with fronted(site, tmp_path, lines) as front, dial(front) as secure, dial(front) as clear:
        assert (
            secure.ask_upgrade("/ws/red", KEY, [("Origin", "https://shop.example")]).status == 101
        )
        assert clear.ask_upgrade("/ws/red", KEY, [("Origin", "http://shop.example")]).status == 403
        assert about(front, STRANGER)["scheme"] == "https"


def test_what_forwarded_claims_is_not_believed_behind_a_proxy_that_writes_the_others(site):
    claimed = [("Forwarded", "for=203.0.113.9;proto=https;host=evil.example")]

    seen = about(site.front, STRANGER, claimed)

    assert seen == {"ip": STRANGER, "scheme": "http", "host": f"127.0.0.1:{site.front.address[1]}"}
