"""Our server on one of gunicorn's listeners: the environ of its requests, and how many there are."""

from __future__ import annotations

import contextlib
import socket

import gunicorn
import pytest

from tests.support.front_worker import ask, asked, serving
from tests.support.raw import RawClient


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bare")
    with serving(folder, "--bind", f"unix:{folder}/web.sock", target="bare") as server:
        yield server


def facts(server, names, *fields):
    _, body = asked(server, f"/?{names}", *fields)
    return dict(line.split("=", 1) for line in body.split("\n"))


def on_unix(server, host):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    sock.connect(str(server.log_path.with_name("web.sock")))
    with RawClient(sock) as client:
        path = "/?SERVER_NAME,SERVER_PORT,REMOTE_ADDR,wsgi.url_scheme"
        client.send_bytes(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n".encode())
        client.send_bytes(b"X-Forwarded-Proto: https\r\nConnection: close\r\n\r\n")
        client.read_head()
        return [line.partition("=")[2] for line in client.read_to_end().decode().split("\n")]


def test_the_environ_says_which_server_it_is(bare):
    found = facts(
        bare, "SERVER_SOFTWARE,wsgi.multithread,wsgi.multiprocess,SERVER_NAME,SERVER_PORT"
    )

    software = found.pop("SERVER_SOFTWARE")
    assert software.startswith("gevent/")
    assert software.endswith(f"gunicorn/{gunicorn.__version__}")
    assert found == {
        "wsgi.multithread": "True",
        "wsgi.multiprocess": "False",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(bare.address[1]),
    }


@pytest.mark.parametrize(
    ("fields", "scheme"),
    [
        ([], "http"),
        (["X-Forwarded-Proto: https"], "https"),
        (["X-Forwarded-Ssl: on"], "https"),
        (["X-Forwarded-Proto: http"], "http"),
        (["X_Forwarded_Proto: https"], "http"),
    ],
)
def test_a_proxy_on_this_machine_says_how_the_client_speaks(bare, fields, scheme):
    assert facts(bare, "wsgi.url_scheme", *fields) == {"wsgi.url_scheme": scheme}


def test_two_schemes_at_once_are_refused(bare):
    fields = ["X-Forwarded-Proto: https", "X-Forwarded-Ssl: off"]

    assert asked(bare, "/", *fields)[0].status == 400


def test_a_client_on_a_unix_socket_is_a_proxy_whose_host_is_the_server(bare):
    assert on_unix(bare, "shop.example") == ["shop.example", "443", "", "https"]
    assert on_unix(bare, "shop.example:8443") == ["shop.example", "8443", "", "https"]


def test_only_a_proxy_that_gunicorn_trusts_says_so_and_script_name_is_the_root(tmp_path):
    options = ("--forwarded-allow-ips", "10.0.0.1")
    with serving(tmp_path, *options, target="bare", SCRIPT_NAME="/shop") as server:
        _, body = asked(
            server, "/shop/a?SCRIPT_NAME,PATH_INFO,wsgi.url_scheme", "X-Forwarded-Proto: https"
        )

        assert body.split("\n") == [
            "SCRIPT_NAME=/shop",
            "PATH_INFO=/a",
            "wsgi.url_scheme=http",
        ]
        assert asked(server, "/elsewhere")[0].status == 500


def test_an_application_may_use_the_socket(bare):
    with RawClient.dial(bare.address) as client:
        assert [ask(client, "/peer")[1] for _ in range(2)] == ["127.0.0.1"] * 2


def test_upgrades_that_only_gevent_websocket_knows_are_made(bare):
    with RawClient.open(bare.address, "/") as client:
        client.send_text("hi")
        assert client.read_text() == "HI"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("small"), "--worker-connections", "2") as server:
        yield server


def test_beyond_worker_connections_clients_wait_until_one_leaves(small):
    with contextlib.ExitStack() as opened:
        silent = [opened.enter_context(RawClient.dial(small.address)) for _ in range(2)]
        for client in silent:
            client.send_bytes(b"GET / HTTP/1.1\r\n")  # as far as it goes
        late = opened.enter_context(RawClient.dial(small.address))
        late.send_bytes(b"GET /pid HTTP/1.1\r\nHost: a\r\n\r\n")
        late.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            late.read_head()

        silent[0].close()

        late.socket.settimeout(10)
        assert late.read_head().status == 200


def test_clients_between_two_requests_make_room_for_new_ones(small):
    with contextlib.ExitStack() as opened:
        for _ in range(5):
            client = opened.enter_context(RawClient.dial(small.address))
            assert ask(client)[1] == "hello"


def test_websockets_are_no_part_of_worker_connections(small):
    with contextlib.ExitStack() as opened:
        for _ in range(4):
            client = opened.enter_context(RawClient.open(small.address, "/ws/red"))
            client.read_text()

        assert asked(small)[1] == "hello"
