"""A gunicorn worker with a live page, and who watches it."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.support import descriptors, servers
from tests.support.raw import PING, PONG, RawClient

APPS = Path(__file__).parent / "apps"
COOKIE = "let-me-look"
PAGE, SOCKET = "/__tina4/live", "/__tina4/live/socket"
WAIT_S = 15.0
DESCRIPTORS = 10_500  # here, and in the server

_numbers = count(1)

Message = dict[str, Any]  # Any: what the JSON holds


class Watcher:
    """The page's end of the socket, without a page."""

    def __init__(self, client: RawClient) -> None:
        self.client = client

    def order(self, **order: object) -> None:
        """Ask for something."""
        self.client.send_text(json.dumps(order))

    def next(self, kind: str, is_it: Callable[[Message], object] = lambda message: True) -> Message:
        """Read until the message of that kind for which `is_it`."""
        give_up_at = time.monotonic() + WAIT_S
        seen: Message = {}
        while time.monotonic() < give_up_at:
            frame = self.client.read_frame()
            if frame.opcode == PING:
                self.client.send_frame(PONG, frame.payload)
                continue
            message = json.loads(frame.payload)
            if message["type"] == kind:
                seen = message
                if is_it(message):
                    return message
        raise AssertionError(f"no such {kind!r}, the last one was {seen}")


@pytest.fixture(scope="module")
def numbers_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the workers put their numbers together."""
    return tmp_path_factory.mktemp("numbers")


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, numbers_folder: Path
) -> Iterator[servers.Server]:
    tmp_path = tmp_path_factory.mktemp("live")
    env = {
        "ADMIN_COOKIE": COOKIE,
        "TINA4_WS_METRICS_DIR": str(numbers_folder),
        "TINA4_WS_DRAIN_TIMEOUT_S": "1",
        "TINA4_WS_MAX_CONNECTIONS": "10100",
    }
    with (
        descriptors.at_least(DESCRIPTORS),
        servers.gunicorn("watched:app", APPS, tmp_path / "log", env=env) as running,
    ):
        servers.wait_until_answering(running)
        yield running


@pytest.fixture
def room() -> str:
    """A path that no other test uses."""
    return f"/ws/room/r{next(_numbers)}"


@pytest.fixture
def opened() -> Iterator[contextlib.ExitStack]:
    """Closes at the end what a test opens."""
    with contextlib.ExitStack() as opened:
        yield opened


@pytest.fixture
def connect(server: servers.Server, opened: contextlib.ExitStack) -> Callable[..., RawClient]:
    """Connect a client to a path."""
    return lambda path: opened.enter_context(RawClient.open(server.address, path))


@pytest.fixture
def watcher(server: servers.Server, opened: contextlib.ExitStack) -> Watcher:
    fields = [("Cookie", f"admin={COOKIE}"), ("Origin", server.url)]
    return Watcher(opened.enter_context(RawClient.open(server.address, SOCKET, fields)))


def ask(server: servers.Server, path: str, **fields: str) -> tuple[int, dict[str, str], str]:
    """Make one request; give status, header fields in lower case, and text."""
    asker = http.client.HTTPConnection(*server.address, timeout=10)
    try:
        asker.request("GET", path, headers=fields)
        answer = asker.getresponse()
        text = answer.read().decode()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text
    finally:
        asker.close()
