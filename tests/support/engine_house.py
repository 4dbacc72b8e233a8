"""An engine in this process, and clients at the other end of socket pairs: real bytes, no server,
no port.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent import socket

from tests.support.raw import RawClient
from tina4_wsgi.config import Config
from tina4_wsgi.engine.engine import Engine
from tina4_wsgi.engine.runtime import Runtime
from tina4_wsgi.hosting.switching import Taken
from tina4_wsgi.routing.matching import Route
from tina4_wsgi.routing.params import Params
from tina4_wsgi.websocket.connection import Accepted, Connection
from tina4_wsgi.websocket.opening_handshake import OpeningHandshake
from tina4_wsgi.websocket.served_route import ServedRoute

WAIT_S = 5.0
FEW_TURNS = 3


class House:
    """One engine with its settings, and whoever connects to it."""

    def __init__(self, **settings: Any) -> None:
        self.config = Config(**settings)
        self.process = Runtime(self.config)
        self.clients: list[RawClient] = []

    @property
    def engine(self) -> Engine:
        return self.process.engine()

    def connect(
        self,
        callback: Callable[..., object],
        path: str = "/ws/test",
        *,
        early: bytes = b"",
        send_buffer: int = 0,
        window_bits: int = 0,
        auth: Callable[..., object] | None = None,
        wrap: Callable[[Any], Any] | None = None,
        served: ServedRoute | None = None,
        **options: Any,
    ) -> tuple[RawClient, Connection]:
        """Let a client in on a route of its own, or on `served`; `wrap` puts something around its
        socket.
        """
        raw, theirs = line(send_buffer)
        client = RawClient(theirs)
        self.clients.append(client)
        route = Route(path, path, "websocket", frozenset({"GET"}), callback, auth=auth)
        limits = self.config.for_route(options)
        environ = {
            "PATH_INFO": path,
            "QUERY_STRING": "token=t",
            "HTTP_HOST": "h",
            "REMOTE_ADDR": "127.0.0.1",
        }
        service = ServedRoute(route, limits) if served is None else served
        opening = OpeningHandshake(environ, ())
        visit = Accepted(service, opening, path, Params(), window_bits=window_bits)
        taken = Taken(raw if wrap is None else wrap(raw), early)
        return client, self.engine.adopt(taken, visit).connection

    def leave(self) -> None:
        for client in self.clients:
            client.close()
        # A drain polls for those who are still there; most have left by themselves after these.
        for _ in range(FEW_TURNS):
            gevent.sleep(0.001)
        self.process.drain(1.0)
        self.process.close()
        gevent.sleep(0)


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.leave()


@pytest.fixture
def make_house() -> Iterator[Callable[..., House]]:
    """For tests that need other settings."""
    houses: list[House] = []

    def make(**settings: Any) -> House:
        houses.append(House(**settings))
        return houses[-1]

    yield make
    for house in houses:
        house.leave()


class Log(list[tuple[str, Any]]):
    """A callback that writes down what it is called with."""

    def __call__(self, connection: Connection, event: str, data: str | bytes) -> None:
        self.append((event, data))

    def wait_for(self, event: str) -> None:
        with gevent.Timeout(WAIT_S, AssertionError(f"no {event!r} in {self}")):
            while event not in [name for name, _ in self]:
                gevent.sleep(0.002)


@pytest.fixture
def log() -> Log:
    return Log()


def quiet(connection: Any, event: str, data: str) -> None:
    """A callback that does nothing."""


SMALL_BUFFER = 4_608


def line(send_buffer: int = 0) -> tuple[Any, socket.socket]:
    """Open a line; give the server's end as a host hands it over, and the client's."""
    ours, theirs = socket.socketpair()
    if send_buffer:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    raw = ours._sock
    ours._closed = True
    ours._detach_socket("detached")
    theirs.settimeout(WAIT_S)
    return raw, theirs


def in_thread(function: Callable[[], object]) -> None:
    """Run `function` in a native thread while this thread's hub goes on; raise what it raises."""
    gevent.get_hub().threadpool.apply(function)


def wait_until(is_so: Callable[[], object], what: str = "it did not become so") -> None:
    with gevent.Timeout(WAIT_S, AssertionError(what)):
        while not is_so():
            gevent.sleep(0.002)
