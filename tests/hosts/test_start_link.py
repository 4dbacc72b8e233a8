"""The link that each start prints opens what `debug` shows, in all of its workers; nothing else
does.
"""

from __future__ import annotations

import contextlib
import http.client
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.nginx import nginx
from tests.support.raw import ANSWER_S, RawClient

APPS = Path(__file__).with_name("apps")
PAGE, SOCKET = "/__tina4/live", "/__tina4/live/socket"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
LINK = rf"{PAGE}\?token=([A-Za-z0-9_-]{{32}})"
SECRET = "a secret of the inside"
BARE = "server { listen PORT; location / { proxy_pass UPSTREAM; } }"

OWN = {
    "own": (),
    "own workers": ("--workers", "2"),
    "own by flag": ("--debug", "--workers", "2"),
    "own reload": ("--reload",),
}
GUNICORN = {"gunicorn": ("-w", "2"), "gunicorn preload": ("-w", "2", "--preload")}


@contextlib.contextmanager
def serving(kind: str, folder: Path, **env: str) -> Iterator[servers.Server]:
    start = servers.own if kind in OWN else servers.gunicorn
    options = {**OWN, **GUNICORN}[kind]
    env = {"PYTHONPATH": str(servers.ROOT), "TINA4_WS_DRAIN_SPREAD_S": "0", **env}
    with start("debugged:app", APPS, folder / "log", *options, env=env) as server:
        try:
            yield server
        finally:
            server.end()


@pytest.fixture(scope="module", params=[*OWN, *GUNICORN])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def server(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    with serving(kind, tmp_path_factory.mktemp("link")) as started:
        yield started


def ask(
    server: servers.Server, path: str, **fields: str
) -> tuple[int, http.client.HTTPMessage, str]:
    connection = http.client.HTTPConnection(*server.address, timeout=ANSWER_S)
    with contextlib.closing(connection):
        connection.request("GET", path, headers=fields)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()


def cookies_of(server: servers.Server) -> str:
    """Follow the link that the log has."""
    status, fields, _ = ask(server, server.wait_for_log(LINK)[0])
    assert status == 303
    return "; ".join(field.partition(";")[0] for field in fields.get_all("Set-Cookie", []))


def test_the_link_opens_page_socket_and_tracebacks_in_every_worker(server):
    cookies = cookies_of(server)

    for _ in range(12):  # each a new connection, for whichever worker takes it
        assert ask(server, PAGE, Cookie=cookies)[0] == 200
        assert SECRET in ask(server, "/fail", Cookie=cookies)[2]
    with RawClient.dial(server.address) as client:
        fields = [("Origin", server.url), ("Cookie", cookies)]
        assert client.ask_upgrade(SOCKET, KEY, fields).status == 101


def test_without_it_this_machines_own_browser_sees_nothing_either(server):
    server.wait_for_log(LINK)

    assert ask(server, PAGE)[0] == 403
    assert SECRET not in ask(server, "/fail")[2]
    with RawClient.dial(server.address) as client:
        assert client.ask_upgrade(SOCKET, KEY, [("Origin", server.url)]).status == 403


def test_a_stranger_behind_a_proxy_that_passes_everything_on_sees_nothing(server, tmp_path):
    server.wait_for_log(LINK)
    with nginx(BARE.replace("UPSTREAM", server.url), tmp_path) as front:
        assert ask(front, PAGE, Host="www.public.example")[0] == 403
        assert SECRET not in ask(front, "/fail", Host="www.public.example")[2]
        assert ask(front, f"{PAGE}?token={'0' * 32}", Host="www.public.example")[0] == 403


def test_gunicorns_workers_write_the_link_into_the_log_once(tmp_path):
    with serving("gunicorn", tmp_path) as server:
        server.wait_for_log(r"(?s)Booting worker.*Booting worker")
        cookies_of(server)

        assert len(re.findall(LINK, server.log)) == 1


@pytest.mark.parametrize("kind", ["own", "own by flag", "gunicorn"])
def test_each_start_has_a_link_of_its_own(kind, tmp_path):
    tokens = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        with serving(kind, tmp_path / name, TINA4_WS_BUS_DIR=str(tmp_path / "bus")) as server:
            tokens.append(server.wait_for_log(LINK)[1])
            cookies = cookies_of(server)
            assert ask(server, PAGE, Cookie=cookies)[0] == 200

    assert tokens[0] != tokens[1]


@pytest.mark.parametrize("kind", ["own", "own workers", "gunicorn"])
def test_the_token_may_be_set(kind, tmp_path):
    with serving(kind, tmp_path, TINA4_WS_LIVE_TOKEN="a-token-of-this-test") as server:
        assert ask(server, f"{PAGE}?token=a-token-of-this-test")[0] == 303


def test_where_the_folder_is_not_private_each_worker_has_a_link_and_says_why(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    with serving(
        "gunicorn", tmp_path, TINA4_WS_BUS_DIR=str(tmp_path / "open"), TINA4_WS_BACKPLANE="none"
    ) as server:
        assert "expected 0700" in server.wait_for_log("each worker has a link of its own.*").group()
        server.wait_for_log(LINK)
