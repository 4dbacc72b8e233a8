"""A real server in a process of its own, for a test."""

from __future__ import annotations

import os
import signal
import urllib.request

import pytest

from tests.support.raw import RawClient
from tina4_wsgi import UsageError
from tina4_wsgi.testing import LiveServer, ServerFailed

APP = """
from tina4_wsgi import App, Router

@Router.websocket("/ws")
def echo(connection, event, data):
    if event == "message":
        connection.send(data)

@Router.get("/")
def home(request, response):
    return "home"

app = App()
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "shop.py").write_text(APP)
    return tmp_path


def test_it_serves_pages_and_websockets_until_the_block_ends(folder):
    with LiveServer("shop:app", folder) as server:
        pid = server.pid
        assert urllib.request.urlopen(server.url, timeout=10).read() == b"home"
        assert server.ws_url == f"ws://127.0.0.1:{server.port}"
        with RawClient.open(server.address, "/ws") as client:
            client.send_text("hi")
            assert client.read_text() == "hi"

    assert server.pid is None
    assert not os.path.exists(f"/proc/{pid}")
    assert '"GET / HTTP/1.1" 200' in server.log


def test_it_can_be_stopped_twice_and_started_again(folder):
    server = LiveServer("shop:app", folder)
    server.start()
    with pytest.raises(UsageError, match="runs already"):
        server.start()
    server.stop()
    server.stop()

    with server:
        assert urllib.request.urlopen(server.url, timeout=10).read() == b"home"


def test_options_of_the_command_line_are_passed_on(folder):
    with pytest.raises(ServerFailed, match="no-such-option"):
        LiveServer("shop:app", folder, "--no-such-option").start()


def test_one_that_cannot_start_says_what_it_printed(folder):
    with pytest.raises(ServerFailed, match=r"exit code 1:\ntina4-wsgi: .*try shop:app"):
        LiveServer("shop:nothing", folder).start()


def test_one_that_was_killed_meanwhile_is_an_error(folder):
    server = LiveServer("shop:app", folder)
    server.start()
    os.kill(server.pid, signal.SIGKILL)

    with pytest.raises(ServerFailed, match="exit code -9"):
        server.stop()


def test_one_that_never_listens_is_given_up_and_ended(folder, monkeypatch):
    monkeypatch.setattr("tina4_wsgi.testing.live_server.START_S", 0.3)
    (folder / "slow.py").write_text("import signal\nsignal.pause()\n")

    with pytest.raises(ServerFailed, match=r"did not listen within 0\.3 s"):
        LiveServer("slow:app", folder).start()


def test_one_that_does_not_stop_is_killed(folder, monkeypatch):
    monkeypatch.setattr("tina4_wsgi.testing.live_server.STOP_S", 0.3)
    (folder / "deaf.py").write_text(
        APP + "import gevent, signal\n"
        "gevent.spawn_later(0, gevent.signal_handler, signal.SIGTERM, lambda: None)\n"
    )
    server = LiveServer("deaf:app", folder)
    server.start()
    urllib.request.urlopen(server.url, timeout=10).close()  # by now it is deaf

    with pytest.raises(ServerFailed, match=r"was killed, it still ran 0\.3 s after SIGTERM"):
        server.stop()
