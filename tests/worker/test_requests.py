"""Requests under our worker class, as gunicorn's log, hooks and limits have them."""

from __future__ import annotations

import socket

import pytest

from tests.support.front_worker import KEY, answer_to, ask, asked, serving
from tests.support.raw import RawClient

LOGGED = ("--access-logfile", "-")
FORMAT = "%(h)s|%(r)s|%(s)s|%(b)s|%({x-mark}i)s|%({x-kind}o)s|%({raw_uri}e)s|%(U)s|%(q)s"


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logged")
    with serving(folder, *LOGGED, "--access-logformat", FORMAT) as server:
        yield server


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bare")
    with serving(folder, *LOGGED, "--access-logformat", FORMAT, target="bare") as server:
        yield server


def test_an_answer_is_logged_with_its_status_its_bytes_and_its_fields(bare):
    _, body = asked(bare, "/a%20b?c=d", "X-Mark: marked")

    length = len(body)
    line = rf"127\.0\.0\.1\|GET /a%20b\?c=d HTTP/1\.1\|200\|{length}\|marked\|bare\|"
    bare.wait_for_log(line + r"/a%20b\?c=d\|/a b\|c=d\n")


@pytest.mark.parametrize(
    ("path", "status", "length"),
    [("/", 200, 5), ("/nothing", 404, r"\d+"), ("/broken", 500, r"\d+")],
)
def test_each_status_is_logged(logged, path, status, length):
    head, body = asked(logged, f"{path}?{status}")

    assert head.status == status
    length = len(body)
    logged.wait_for_log(rf"\|GET {path}\?{status} HTTP/1\.1\|{status}\|{length}\|")


def test_an_upgrade_is_logged_as_101(logged):
    with RawClient.open(logged.address, "/ws/red?opened"):
        logged.wait_for_log(r"\|GET /ws/red\?opened HTTP/1\.1\|101\|0\|")


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/ws/red", [("Origin", "http://evil.example")], 403),
        ("/nowhere", [], 404),
        ("/ws/red", [("Sec-WebSocket-Version", "7")], 426),
    ],
)
def test_a_refused_upgrade_is_logged_with_its_status(logged, path, fields, status):
    with RawClient.dial(logged.address) as client:
        assert client.ask_upgrade(f"{path}?{status}", KEY, fields).status == status

    logged.wait_for_log(rf"\|GET {path}\?{status} HTTP/1\.1\|{status}\|")


def test_the_bytes_of_a_body_in_pieces_are_counted_without_their_frames(bare):
    answer_to(bare, b"GET /pieces HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")

    bare.wait_for_log(r"\|GET /pieces HTTP/1\.1\|200\|8\|")


def test_errors_are_logged_in_full(logged):
    asked(logged, "/broken")

    logged.wait_for_log(r"LookupError: on purpose")


def test_a_logger_class_of_ones_own_is_asked_without_an_access_log(tmp_path):
    conf = """
from gunicorn.glogging import Logger

class Counting(Logger):
    def access(self, resp, req, environ, request_time):
        status, length = resp.status.split()[0], resp.response_length
        print("counted", status, length, req.method, request_time.seconds, flush=True)

logger_class = Counting
"""
    with serving(tmp_path, conf=conf) as server:
        asked(server)

        server.wait_for_log("counted 200 5 GET 0")


def test_statsd_counts_requests(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(10)
        host = f"127.0.0.1:{statsd.getsockname()[1]}"
        with serving(tmp_path, "--statsd-host", host) as server:
            asked(server)

            while b"gunicorn.request.status.200:1|c" not in statsd.recv(999):
                pass


HOOKS = """
def pre_request(worker, req):
    print("before", req.method, req.path, req.query, dict(req.headers).get("X-MARK"), flush=True)
    if req.path == "/refused":
        raise ValueError("not this one")
    req.headers.append(("X-Added", "added"))

def post_request(worker, req, environ, resp):
    given = environ.get("HTTP_X_ADDED"), resp.status, resp.status_code, resp.sent
    print("after", req.uri, *given, worker.nr, flush=True)
"""


@pytest.fixture(scope="module")
def hooked(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("hooked"), conf=HOOKS, target="bare") as server:
        yield server


def test_hooks_see_a_request_before_and_behind_the_application(hooked):
    _, body = asked(hooked, "/page?HTTP_X_ADDED", "X-Mark: marked")

    assert body == "HTTP_X_ADDED=added"
    hooked.wait_for_log("before GET /page HTTP_X_ADDED marked")
    hooked.wait_for_log(r"after /page\?HTTP_X_ADDED added 200 OK 200 18 \d+")


def test_a_hook_that_raises_is_answered_500_and_the_other_is_called(hooked):
    assert asked(hooked, "/refused")[0].status == 500

    hooked.wait_for_log("ValueError: not this one")
    hooked.wait_for_log("after /refused None 500 Internal Server Error 500")


def test_at_level_debug_gunicorns_own_hook_logs_requests(tmp_path):
    with serving(tmp_path, "--log-level", "debug") as server:
        asked(server, "/nothing")

        server.wait_for_log(r"\[DEBUG\] GET /nothing")


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    options = ("--limit-request-line", "100", "--limit-request-fields", "5")
    options += ("--limit-request-field_size", "50", "--keep-alive", "0")
    with serving(tmp_path_factory.mktemp("limited"), *options) as server:
        yield server


def request_of(line_bytes=0, fields=0, field_bytes=0):
    target = "/".ljust(line_bytes - len("GET  HTTP/1.1"), "a")
    others = "".join(f"A{number}: b\r\n" for number in range(fields - 1))
    long_one = f"B: {'b' * (field_bytes - 5)}\r\n" if field_bytes else ""
    return f"GET {target} HTTP/1.1\r\nHost: a\r\n{others}{long_one}\r\n".encode()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request_of(), 200),
        (request_of(line_bytes=100), 404),
        (request_of(line_bytes=101), 414),
        (request_of(fields=5), 200),
        (request_of(fields=6), 431),
        (request_of(field_bytes=50), 200),
        (request_of(field_bytes=51), 431),
    ],
)
def test_gunicorns_limits_hold(limited, data, status):
    answer = answer_to(limited, data)

    assert answer.startswith(b"HTTP/1.1 %d " % status)


def test_without_keepalive_each_answer_ends_its_connection(limited):
    with RawClient.dial(limited.address) as client:
        head, _ = ask(client)

        assert head.headers["connection"] == "close"
        assert client.read_to_end() == b""


def test_keepalive_is_how_long_a_client_may_wait_between_two_requests(tmp_path):
    with serving(tmp_path, "--keep-alive", "1") as server, RawClient.dial(server.address) as client:
        ask(client)
        assert ask(client)[1] == "hello"

        assert client.read_to_end() == b""  # within the 10 s of the client's patience


def test_our_own_limits_hold_where_gunicorns_are_the_defaults(tmp_path):
    ours = {"TINA4_WS_MAX_HEADER_COUNT": "10", "TINA4_WS_KEEPALIVE_TIMEOUT_S": "0"}
    with serving(tmp_path, **ours) as server:
        assert answer_to(server, request_of(fields=11)).startswith(b"HTTP/1.1 431 ")
        assert asked(server)[0].headers["connection"] == "close"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        (b"POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET ", 200),
    ],
)
def test_it_is_as_strict_as_our_own_server(logged, data, status):
    with RawClient.dial(logged.address) as client:
        client.send_bytes(data)

        assert client.read_head().status == status
