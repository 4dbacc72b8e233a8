"""Real uWSGI in the ways that it runs requests: what `make hosts` doesn't try of it.

tests/hosts/test_hosts.py has the rest.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from hosts.checks import say_goodbye
from hosts.environment import python_of
from hosts.host import BY_KEY, UWSGI, Host
from hosts.running import CERTIFICATE, UWSGI_ADDRESS, Running, running
from tests.support import servers
from tests.support.nginx import nginx
from tests.support.raw import TEXT, client_frame

APPS = Path(__file__).with_name("apps")
KEYS = ("uwsgi-gevent", "uwsgi-threads", "uwsgi")
LOCATION = """\
server {{
    listen PORT;
    location / {{
        uwsgi_param QUERY_STRING $query_string;
        uwsgi_param REQUEST_METHOD $request_method;
        uwsgi_param CONTENT_LENGTH $content_length;
        uwsgi_param REQUEST_URI $request_uri;
        uwsgi_param PATH_INFO $document_uri;
        uwsgi_param SERVER_PROTOCOL $server_protocol;
        uwsgi_param REMOTE_ADDR $remote_addr;
        uwsgi_param SERVER_NAME $server_name;
        uwsgi_param SERVER_PORT $server_port;
        uwsgi_pass unix:{path};
        uwsgi_read_timeout 60s;
    }}
}}
"""


@pytest.fixture(scope="module", autouse=True)
def _uwsgi_is_built() -> None:
    """Have pip build uWSGI before a test's own time begins."""
    python_of(UWSGI)


@contextlib.contextmanager
def start(key: str, folder: Path, *options: str, app: str = "site_app:app") -> Iterator[Running]:
    with running(BY_KEY[key], python_of(UWSGI), folder, *options, app=app) as site:
        yield site


@pytest.fixture(scope="module", params=KEYS)
def misused(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A server with apps/uwsgi_app.py."""
    folder = tmp_path_factory.mktemp(request.param)
    with start(request.param, folder, "--pythonpath", str(APPS), app="uwsgi_app:around") as site:
        yield site


def blocked(task: Path) -> int:
    """Return which signals a thread blocks, as bits."""
    lines = (task / "status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("SigBlk:")).split()[1], 16)


def is_served(site: Running) -> bool:
    """Say whether the next client is served as if nothing had happened."""
    with site.open("/ws/echo") as client:
        client.send_text("hi")
        return client.read_text() == "hi"


def test_what_a_middleware_answers_in_place_of_the_101_reaches_the_client(misused):
    client, head = misused.ask("/ws/echo?replaced")
    with client:
        assert (head.status, client.read_to_end()) == (403, b"gone")

    assert "answered 403 in place of the 101" in misused.server.log
    assert is_served(misused)


def test_a_middleware_that_raises_may_still_answer(misused):
    client, head = misused.ask("/ws/echo?raising")
    with client:
        assert (head.status, client.read_to_end()) == (409, b"")

    assert is_served(misused)


def test_a_second_call_for_one_handshake_is_answered_500(misused):
    with misused.open("/ws/echo?twice") as client:
        client.send_text("hi")

        assert client.read_text() == "hi"
        misused.server.wait_for_log("again: 500")


def test_a_middleware_that_hides_the_connection_is_told_so(misused):
    client, head = misused.ask("/ws/echo?hidden")
    with client:
        assert head.status == 501

    misused.server.wait_for_log("let it leave requests with an Upgrade field alone")
    assert is_served(misused)


def test_a_path_that_gevent_websocket_would_serve_is_answered_501(misused):
    client, head = misused.ask("/old")
    with client:
        assert head.status == 501

    assert is_served(misused)


EARLY = {
    "a whole message": client_frame(TEXT, b"one"),
    "a first byte": b"\x81",
    "half a long header": b"\x81\xfe\xff",
    "a length beyond all bounds": b"\x81\xff" + b"\xff" * 8,
    "a continuation of nothing": b"\x80\x80\0\0\0\0",
    "a continuation that goes on": b"\x00\x81\0\0\0\0a",
    "a first byte of a continuation": b"\x80",
    "a ping": b"\x89\x80\0\0\0\0",
    "a pong": b"\x8a\x80\0\0\0\0",
    "a close frame": b"\x88\x80\0\0\0\0",
    "a reserved opcode": b"\x83\x80\0\0\0\0",
    "a chunk": b"3\r\none\r\n",
    "the last chunk": b"0\r\n\r\n",
    "a chunk without a size": b"\r\n",
    "a chunk beyond all bounds": b"ffffffffffffffff\r\none",
    "more than a head has room for": b"f" * 3_000 + b"\r\n",
}
"""What uWSGI's parsers of frames and of chunks might take amiss."""


@pytest.mark.parametrize("early", EARLY.values(), ids=EARLY)
def test_whatever_comes_behind_a_handshake_is_refused_and_disturbs_nobody(misused, early):
    with misused.open("/ws/echo") as neighbour:
        client, head = misused.ask("/ws/echo", early=early)
        with client:
            assert head.status == 400

        neighbour.send_text("still here")
        assert neighbour.read_text() == "still here"


@pytest.mark.parametrize("key", KEYS)
def test_a_stop_runs_close_callbacks_and_what_the_application_had_put_there(key, tmp_path):
    with (
        start(key, tmp_path, "--pythonpath", str(APPS), app="uwsgi_app:app") as site,
        site.open("/ws/echo") as client,
    ):
        site.server.wait_for_log("GET /ws/echo => ")

        site.server.process.terminate()

        assert say_goodbye(client, is_first=False) == 1001
        assert site.server.process.wait(servers.STOP_S) == 0
        closed = site.server.log.index("closed with 1001")
        assert closed < site.server.log.index("the application's own atexit")


@pytest.mark.parametrize("key", KEYS)
def test_a_signal_that_ends_the_process_never_reaches_a_thread_of_ours(key, tmp_path):
    with start(key, tmp_path) as site, site.open("/ws/echo/red") as client:
        client.send_text("hi")
        assert client.read_text() == "red: hi"
        pid = int(site.request("GET", "/pid").body)

        heard_by = {
            task.name
            for task in Path(f"/proc/{pid}/task").iterdir()
            if not blocked(task) & 1 << signal.SIGINT - 1
        }

        assert heard_by == {str(pid)}


@pytest.mark.parametrize("key", KEYS)
def test_nothing_but_access_lines_is_printed_for_clients_that_come_and_go(key, tmp_path):
    with start(key, tmp_path, "--gevent-monkey-patch") as site:
        site.request("GET", "/pid")
        site.server.wait_for_log("GET /pid => ")  # behind all that uWSGI says when it starts
        before = len(site.server.log)
        with site.open("/ws/echo/red") as client:
            say_goodbye(client)
        with site.open("/ws/echo/red?second") as client:
            client.reset()
        site.server.wait_for_log("second => ")
        site.request("GET", "/hello/ada")
        site.server.wait_for_log("GET /hello/ada => ")

        lines = site.server.log[before:].splitlines()

    # The standard library is patched under gevent alone, which is said to others once.
    said = [line for line in lines if "tina4_wsgi.checks" not in line]
    assert [line.partition(" => ")[0].rpartition("] ")[2] for line in said] == [
        "GET /ws/echo/red",
        "GET /ws/echo/red?second",
        "GET /hello/ada",
    ]


@pytest.mark.parametrize("key", KEYS)
def test_a_room_spans_all_processes(key, tmp_path):
    with start(key, tmp_path, "--processes", "2") as site, contextlib.ExitStack() as opened:
        clients = [opened.enter_context(site.open("/ws/room/red")) for _ in range(12)]

        clients[0].send_text("hi")

        assert {client.read_text() for client in clients} == {"hi"}


@pytest.mark.parametrize("key", KEYS)
def test_nginx_reaches_it_by_uwsgi_pass(key, tmp_path):
    (tmp_path / "nginx").mkdir()
    path = tmp_path / "uwsgi.sock"
    early = client_frame(TEXT, b"one")
    with (
        start(key, tmp_path, "--socket", str(path), "--chmod-socket=666") as site,
        nginx(LOCATION.format(path=path), tmp_path / "nginx") as front,
    ):
        behind = Running(site.host, front, None, has_tls=False)
        assert behind.request("GET", "/hello/ada").body == "hello ada"

        # nginx keeps what comes behind the handshake until it has the answer.
        with behind.open("/ws/echo/red", early=early) as client:
            client.send_text("two")
            assert [client.read_text(), client.read_text()] == ["red: one", "red: two"]
            say_goodbye(client)


def test_without_threads_of_its_own_an_upgrade_is_answered_501(tmp_path):
    host = Host("uwsgi", "", uwsgi_options=("--processes", "1"))
    with running(host, python_of(UWSGI), tmp_path) as site:
        client, head = site.ask("/ws/echo/red")
        with client:
            body = client.read_exactly(int(head.headers["content-length"])).decode()

        assert head.status == 501
        assert "--enable-threads" in body
        assert site.request("GET", "/hello/ada").body == "hello ada"


def test_a_tls_connection_of_uwsgis_own_is_answered_501(tmp_path):
    tls = f"127.0.0.1:0,{CERTIFICATE},{CERTIFICATE}"
    with running(
        BY_KEY["uwsgi-threads"],
        python_of(UWSGI),
        tmp_path,
        "--https-socket",
        tls,
        on_unix=True,
    ) as site:
        site.server.address = (servers.LOOPBACK, int(site.server.wait_for_log(UWSGI_ADDRESS)[1]))
        secure = Running(site.host, site.server, None, has_tls=True)

        client, head = secure.ask("/ws/echo/red")
        with client:
            assert head.status == 501
