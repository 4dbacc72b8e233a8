"""The examples' lists of users: whoever goes is taken out, however the connection ended."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.raw import RawClient
from tests.support.servers import Server

# The chapter with one more address, which tells how many users its examples keep.
COUNTING_APP = """
import json
from wsgi import app as chapter

def app(environ, start_response):
    if environ["PATH_INFO"] != "/users":
        return chapter(environ, start_response)
    kept = [route.callback.__globals__ for route in chapter.router.routes]
    names = ("chat_users", "room_users")
    counts = {name: len(scope[name]) for scope in kept for name in names if name in scope}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(counts).encode()]
"""


def users(server: Server) -> dict[str, int]:
    with closing(HTTPConnection(*server.address, timeout=10)) as asker:
        asker.request("GET", "/users")
        found: dict[str, int] = json.load(asker.getresponse())
    return found


def wait_for_users(server: Server, expected: dict[str, int]) -> None:
    give_up_at = time.monotonic() + 10
    while (found := users(server)) != expected:
        assert time.monotonic() < give_up_at, f"{found}, expected {expected}"


@pytest.mark.parametrize("how", ["close frame", "end of stream", "reset"])
def test_nobody_is_kept_after_the_connection(tmp_path: Path, how: str) -> None:
    (tmp_path / "counting.py").write_text(COUNTING_APP)
    environment = {"PYTHONPATH": str(servers.ROOT)}
    counting = servers.gunicorn("counting:app", tmp_path, tmp_path / "log", env=environment)
    with counting as server, ExitStack() as opened:
        paths = ("/ws/livechat/a", "/ws/room/a") * 5
        clients = [opened.enter_context(RawClient.open(server.address, path)) for path in paths]
        wait_for_users(server, {"chat_users": 5, "room_users": 5})

        for client in clients:
            if how == "close frame":
                client.send_close()
            elif how == "reset":
                client.reset()
            client.close()

        wait_for_users(server, {"chat_users": 0, "room_users": 0})
