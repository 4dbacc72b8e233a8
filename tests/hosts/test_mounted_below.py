"""An App under a prefix of another application: its routes, and so its groups, know nothing of the
prefix.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.raw import ANSWER_S, RawClient

APPS = Path(__file__).with_name("apps")
ENVIRON = {"PYTHONPATH": str(servers.ROOT)}
GWS = "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"
KINDS = ("own", "gevent", "gevent_pywsgi", GWS)
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@contextlib.contextmanager
def serving(kind: str, target: str, folder: Path, **env: str) -> Iterator[servers.Server]:
    if kind == "own":
        running = servers.own(target, APPS, folder / "log", env={**ENVIRON, **env})
    else:
        running = servers.gunicorn(
            target, APPS, folder / "log", worker_class=kind, env={**ENVIRON, **env}
        )
    with running as server:
        try:
            yield server
        finally:
            server.end()


# Only our own server looks at how applications are put together.
PUT_TOGETHER = [*((kind, "dispatched") for kind in KINDS), ("own", "by_hand"), ("own", "framework")]


@pytest.fixture(scope="module", params=PUT_TOGETHER, ids="-".join)
def put_together(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A kind of server, and how the applications are put together."""
    kind, name = request.param
    return kind, name


@pytest.fixture(scope="module")
def kind(put_together: tuple[str, str]) -> str:
    return put_together[0]


@pytest.fixture(scope="module")
def server(
    put_together: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[servers.Server]:
    kind, name = put_together
    with serving(kind, f"mounted:{name}", tmp_path_factory.mktemp("mounted")) as started:
        yield started


def ask(server: servers.Server, method: str, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(*server.address, timeout=ANSWER_S)
    with contextlib.closing(connection):
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_pages_of_both_are_found(server):
    assert ask(server, "GET", "/live/page") == (200, "a page of ours")
    assert ask(server, "GET", "/live/none")[0] == 404
    assert ask(server, "GET", "/other") == (200, "legacy at /other")


def test_a_broadcast_by_the_path_without_the_prefix_reaches_who_connected_with_it(server):
    with (
        RawClient.open(server.address, "/live/ws/red") as red,
        RawClient.open(server.address, "/live/ws/blue") as blue,
    ):
        ask(server, "POST", "/push")
        blue.send_text("only blue")

        assert red.read_text() == "pushed"
        assert blue.read_text() == "/ws/blue /live None: only blue"


def test_a_group_is_one_below_all_prefixes(tmp_path):
    with (
        serving("gevent", "mounted:dispatched", tmp_path) as server,
        RawClient.open(server.address, "/live/ws/red") as first,
        RawClient.open(server.address, "/deep/er/ws/red") as second,
    ):
        second.send_text("hi")

        assert [client.read_text() for client in (first, second)] == [
            "/ws/red /deep/er None: hi"
        ] * 2


@pytest.mark.parametrize(
    ("path", "status"),
    [("/live/nothing", 404), ("/live/private", 403), ("/live/private?user=eve", 403)],
)
def test_a_refusal_comes_before_the_101_where_the_host_leaves_the_answer_to_us(
    server, kind, path, status
):
    with RawClient.dial(server.address) as client:
        head = client.ask_upgrade(path, KEY)
        if kind == GWS:
            assert (head.status, client.read_close()) == (101, 1008)
        else:
            assert head.status == status


def test_a_subprotocol_is_agreed_on_where_the_host_leaves_the_answer_to_us(server, kind):
    agreed = None if kind == GWS else "chat.v2"

    with RawClient.dial(server.address) as client:
        head = client.upgrade("/live/ws/red", [("Sec-WebSocket-Protocol", "chat.v2")])
        client.send_text("hi")

        assert head.headers.get("sec-websocket-protocol") == agreed
        assert client.read_text() == f"/ws/red /live {agreed}: hi"


@pytest.mark.parametrize("kind", ["own", "gevent"])
def test_sigterm_says_1001_and_runs_close_before_the_server_ends(kind, tmp_path):
    with (
        serving(kind, "mounted:dispatched", tmp_path) as server,
        RawClient.open(server.address, "/live/ws/red") as first,
        RawClient.open(server.address, "/live/ws/blue") as second,
    ):
        os.kill(server.pid, signal.SIGTERM)
        for client in (first, second):
            assert client.read_close() == 1001
            client.send_close(1001)

        assert server.process.wait(servers.STOP_S) == 0
        assert server.log.count("closed with 1001") == 2
        assert "Traceback" not in server.log


def test_the_legacy_application_has_its_own_sockets_where_gevent_websocket_runs(server, kind):
    if kind in ("gevent", "gevent_pywsgi"):
        assert ask(server, "GET", "/theirs") == (200, "legacy at /theirs")
        return

    with RawClient.open(server.address, "/theirs") as client:
        client.send_text("hi")

        assert client.read_text() == "legacy: hi"
        client.send_close()
        client.read_to_end()


def test_a_prefix_that_gunicorn_takes_off_is_none_of_the_group(tmp_path):
    with (
        serving("gevent", "mounted:app", tmp_path, SCRIPT_NAME="/site") as server,
        RawClient.open(server.address, "/site/ws/red") as client,
    ):
        client.send_text("hi")

        assert client.read_text() == "/ws/red /site None: hi"
