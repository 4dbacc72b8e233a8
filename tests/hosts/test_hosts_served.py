"""Under which names a server is reached: any page can have its name point to 127.0.0.1, and is then
of our origin.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.test_nginx import dial, placed, whole_site
from tests.support import servers
from tests.support.nginx import nginx
from tests.support.raw import ANSWER_S, RawClient

APPS = Path(__file__).with_name("apps")
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ENVIRON = {"PYTHONPATH": str(servers.ROOT)}


@contextlib.contextmanager
def serving(
    kind: str, target: str, folder: Path, *options: str, **env: str
) -> Iterator[servers.Server]:
    start = servers.own if kind == "own" else servers.gunicorn
    with start(
        f"origins:{target}", APPS, folder / "log", *options, env={**ENVIRON, **env}
    ) as server:
        yield server
        server.end()


@pytest.fixture(scope="module", params=["own", "gunicorn"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def server(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """A server that nothing but this machine reaches, with the default settings."""
    with serving(kind, "app", tmp_path_factory.mktemp("hosts")) as started:
        yield started


@pytest.fixture(scope="module")
def listed(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """One that serves the hosts that `allowed_hosts` names."""
    with serving(kind, "listed", tmp_path_factory.mktemp("listed")) as started:
        yield started


def upgrade(server: servers.Server, *fields: tuple[str, str], path: str = "/ws/red") -> int:
    with RawClient.dial(server.address) as client:
        return client.ask_upgrade(path, KEY, fields).status


def ask(server: servers.Server, path: str, **fields: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(*server.address, timeout=ANSWER_S)
    with contextlib.closing(connection):
        connection.request("GET", path, headers=fields)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "10.0.0.9:{port}", "localhost.evil.example"]
)
def test_a_page_whose_name_was_pointed_here_may_not_connect(server, host):
    host = host.format(port=server.address[1])

    assert upgrade(server, ("Host", host), ("Origin", f"http://{host}")) == 421
    assert f"{host!r} is no name of the loopback" in server.log
    assert "allowed_hosts=[" in server.log


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "app.localhost", "127.0.0.1", "127.8.9.1", "[::1]"]
)
def test_a_page_of_the_loopbacks_own_names_may(server, host):
    named = f"{host}:{server.address[1]}"

    assert upgrade(server, ("Host", named), ("Origin", f"http://{named}")) == 101


def test_what_is_no_page_may_name_any_host(server):
    assert upgrade(server, ("Host", "shop.example")) == 101
    assert ask(server, "/about", Host="shop.example")[0] == 200


@pytest.mark.parametrize(
    "sign", ["X-Forwarded-For", "X-Forwarded-Proto", "X-Real-IP", "Via", "Forwarded"]
)
def test_behind_a_proxy_more_than_the_loopback_is_served(server, sign):
    fields = (("Host", "shop.example"), ("Origin", "http://shop.example"), (sign, "http"))

    assert upgrade(server, *fields) == 101


def test_behind_a_proxy_that_is_trusted_it_needs_no_sign(kind, tmp_path):
    with serving(kind, "app", tmp_path, TINA4_WS_TRUSTED_PROXIES="127.0.0.1") as server:
        assert upgrade(server, ("Host", "shop.example"), ("Origin", "http://shop.example")) == 101


def test_a_page_that_is_let_in_by_name_needs_no_name_of_the_loopback(kind, tmp_path):
    with serving(kind, "app", tmp_path, TINA4_WS_ALLOWED_ORIGINS="https://shop.example") as server:
        assert upgrade(server, ("Host", "dev.test"), ("Origin", "https://shop.example")) == 101
        assert upgrade(server, ("Host", "dev.test"), ("Origin", "https://dev.test")) == 421


def test_our_own_server_serves_any_host_where_others_reach_it(tmp_path):
    command = [
        *servers.PYTHON,
        "-m",
        "tina4_wsgi",
        "serve",
        "origins:app",
        "--host",
        "0.0.0.0",
        "--port",
        "0",
    ]
    process = servers.start(command, APPS, tmp_path / "log", ENVIRON)
    with servers.until_the_end(
        servers.Server(process, ("127.0.0.1", 0), tmp_path / "log")
    ) as server:
        server.address = ("127.0.0.1", int(server.wait_for_log(r"http://0\.0\.0\.0:(\d+)")[1]))

        assert upgrade(server, ("Host", "shop.example"), ("Origin", "http://shop.example")) == 101


@pytest.mark.parametrize("where", ["0.0.0.0:0", "unix:{folder}/web.sock"])
def test_gunicorn_serves_any_host_where_it_listens_on_more_than_the_loopback(tmp_path, where):
    further = ("--bind", where.format(folder=tmp_path))
    with serving("gunicorn", "app", tmp_path, *further) as server:
        assert upgrade(server, ("Host", "shop.example"), ("Origin", "http://shop.example")) == 101


def printed_for(server: servers.Server) -> str:
    """What `tina4-wsgi nginx` prints, where it says that it goes."""
    upstream = server.url.removeprefix("http://")
    command = [*servers.PYTHON, "-m", "tina4_wsgi", "nginx", "origins:app", "--upstream", upstream]
    done = subprocess.run(
        command, cwd=APPS, env={**os.environ, **ENVIRON}, capture_output=True, text=True, check=True
    )
    http, _, inside = done.stdout.partition("# Into the server block:")
    return f"{http} server {{ listen PORT; {inside} }}"


@pytest.mark.parametrize("name", ["of the README", "of the command"])
def test_the_nginx_of_the_documentation_goes_on_with_the_default_settings(server, tmp_path, name):
    text = placed(whole_site(), server.url) if name == "of the README" else printed_for(server)
    with nginx(text, tmp_path) as front, dial(front) as client:
        port = front.address[1]
        fields = [("Host", f"shop.example:{port}"), ("Origin", f"http://shop.example:{port}")]

        assert client.ask_upgrade("/ws/red", KEY, fields).status == 101


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("shop.example", True),
        ("SHOP.example:9", True),
        ("a.friends.example:8443", True),
        ("a.b.friends.example:8443", True),
        ("a.friends.example", False),
        ("friends.example:8443", False),
        ("localhost", False),
        ("evil.example", False),
    ],
)
def test_a_list_of_hosts_holds_for_everything_that_is_asked(listed, host, served):
    status, text = ask(listed, "/about", Host=host)

    assert (status, "not served" in text) == ((200, False) if served else (421, True))
    assert upgrade(listed, ("Host", host)) == (101 if served else 421)
    assert upgrade(listed, ("Host", host), ("Origin", f"http://{host}")) == (101 if served else 421)


def test_the_health_page_is_asked_for_by_address(listed):
    assert ask(listed, "/health", Host="10.2.3.4:8000")[0] == 200
    assert ask(listed, "/health/", Host="10.2.3.4")[0] == 200


def test_a_refused_host_is_named_in_the_log_and_not_in_the_answer(listed):
    text = ask(listed, "/about", Host="marked.example")[1]

    assert "marked" not in text
    listed.wait_for_log("'marked.example' is none of allowed_hosts")
