"""Whatever stands around an App: its clients get the 101 before any frame, or another answer and no
frame.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.raw import TEXT, RawClient, client_frame, request_head

APPS = Path(__file__).with_name("apps")
GWS = "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 §1.3
PASSING = (
    "nothing",
    "iterating",
    "joining",
    "collecting",
    "beginning_late",
    "without_write",
    "with_write_of_text",
    "closing_twice",
    "never_iterating",
    "peeking",
    "tracing",
    "wrapping",
    "in_a_greenlet",
    "compressing",
    "rewriting",
    "by_webob",
    "by_webob_with_a_cookie",
    "by_werkzeugs_profiler",
)
ADDING = (
    "collecting",
    "beginning_late",
    "without_write",
    "with_write_of_text",
    "never_iterating",
    "rewriting",
)
IN_PLACE = (
    ("forbidding", 403),
    ("changing_the_status", 200),
    ("redirecting", 302),
    ("failing_behind", 500),
    ("failing_at_the_beginning", 500),
    ("failing_in_the_body", 500),
)


@pytest.fixture(scope="module", params=["own", "gevent", "gevent_pywsgi", GWS])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def server(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    log_path, env = tmp_path_factory.mktemp("around") / "log", {"PYTHONPATH": str(servers.ROOT)}
    with serving(kind, log_path, env) as started:
        yield started
        started.end()


def serving(
    kind: str, log_path: Path, env: dict[str, str]
) -> contextlib.AbstractContextManager[servers.Server]:
    if kind == "own":
        return servers.own("surrounded:surrounded", APPS, log_path, env=env)
    options = ["--access-logfile", "-", "--access-logformat", "answered %(s)s to %(q)s"]
    return servers.gunicorn(
        "surrounded:surrounded", APPS, log_path, *options, worker_class=kind, env=env
    )


@pytest.mark.parametrize("around", PASSING)
def test_the_101_precedes_the_first_frame_and_messages_come_back(server, around):
    before = len(server.log)
    with RawClient.dial(server.address) as client:
        head = client.ask_upgrade(f"/ws/echo?around={around}", KEY)
        client.send_text("hi")

        assert head.status == 101
        assert head.headers["sec-websocket-accept"] == ACCEPT
        assert head.headers["upgrade"].lower() == "websocket"
        assert head.headers["connection"].lower() == "upgrade"
        assert {"content-length", "transfer-encoding"}.isdisjoint(head.headers)
        assert [client.read_text(), client.read_text()] == ["hello", "hi"]
        client.send_close()
        assert client.read_close() == 1000
        assert client.read_to_end() == b""
    assert not any(word in server.log[before:] for word in ("Traceback", "rror", "StopIteration"))


@pytest.mark.parametrize("around", PASSING)
def test_frames_right_behind_the_handshake_are_read(server, around):
    with RawClient.dial(server.address) as client:
        client.send_bytes(
            request_head(f"/ws/echo?around={around}", "localhost", KEY)
            + client_frame(TEXT, b"early")
        )

        assert client.read_head().status == 101
        assert [client.read_text(), client.read_text()] == ["hello", "early"]


@pytest.mark.parametrize("around", ADDING)
def test_the_101_has_what_a_middleware_adds(server, kind, around):
    if kind == GWS:
        return  # has sent its 101 by then

    with RawClient.dial(server.address) as client:
        assert (
            client.ask_upgrade(f"/ws/echo?around={around}", KEY).headers["x-around"] == "was here"
        )


@pytest.mark.parametrize(("around", "status"), IN_PLACE)
def test_another_answer_in_place_of_the_101_is_all_that_the_client_gets(
    server, kind, around, status
):
    if kind == GWS:
        return

    with RawClient.dial(server.address) as client:
        head = client.ask_upgrade(f"/ws/echo?around={around}", KEY)
        body = client.read_exactly(int(head.headers.get("content-length", 0)))
        client.socket.shutdown(socket.SHUT_WR)

        assert head.status == status
        assert b"hello" not in body
        assert client.read_to_end() == b""
    if around == "failing_at_the_beginning":
        return  # the exception passes through this app, with a traceback in the server's log
    target = " to '/login'" if around == "redirecting" else ""
    server.wait_for_log(
        f"'/ws/echo' was not upgraded: surrounded.{around}, or what stands around that, answered "
        f"{status}{target} in place of the 101"
    )


def test_a_server_that_closes_without_an_answer_is_no_upgrade(server, kind):
    if kind == GWS:
        return

    with RawClient.dial(server.address) as client:
        client.send_bytes(request_head("/ws/echo?around=leaving", "localhost", KEY))

        assert b"hello" not in client.read_to_end()
    server.wait_for_log("was not upgraded")


def test_a_middleware_that_calls_it_in_another_thread_is_refused_with_a_sentence(server, kind):
    """That thread's hub is gone with the call, and nobody would write the 101."""
    if kind == GWS:
        return  # it has written its own before the app is called
    with RawClient.dial(server.address) as client:
        head = client.ask_upgrade("/ws/echo?around=in_a_native_thread", KEY)

        assert head.status == 500
        assert b"in another thread" in client.read_exactly(int(head.headers["content-length"]))


@pytest.mark.parametrize("around", ["trying_twice", "trying_twice_and_collecting"])
def test_a_middleware_that_asks_twice_gets_one_upgrade_or_none(server, kind, around):
    with RawClient.dial(server.address) as client:
        head = client.ask_upgrade(f"/ws/echo?around={around}", KEY)

        if head.status == 101:
            assert client.read_text() == "hello"
        else:
            assert head.status == 500
            assert b"calls it twice" in client.read_exactly(int(head.headers["content-length"]))
    server.wait_for_log("calls it twice")


def test_an_agent_sees_a_response_that_ends_without_an_exception(server):
    with RawClient.open(server.address, "/ws/echo?around=tracing"):
        server.wait_for_log("an agent has seen the end")

    assert "an agent reports" not in server.log


def test_a_response_in_a_closing_iterator_is_closed_while_the_connection_lives(server, kind):
    if kind == GWS:
        return  # closes no response

    with RawClient.open(server.address, "/ws/echo?around=wrapping") as client:
        client.read_text()
        server.wait_for_log("the iterator is closed")
        client.send_text("hi")

        assert client.read_text() == "hi"


@pytest.mark.parametrize("around", PASSING)
def test_the_access_log_has_the_101(server, kind, around):
    if kind == GWS:
        return  # keeps no access log

    with RawClient.open(server.address, f"/ws/echo?around={around}"):
        line = f"around={around}" if kind != "own" else '"GET /ws/echo HTTP/1.1" 101'
        server.wait_for_log(line if kind == "own" else f"answered 101 to {line}")


@pytest.mark.parametrize("around", PASSING)
def test_pages_are_what_they_are_without_sockets(server, around):
    with RawClient.dial(server.address) as client:
        client.send_bytes(
            f"GET /page?around={around} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
        )

        assert client.read_head().status == 200
