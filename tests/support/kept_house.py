"""Workers of one app that keeps history, in this process: each is an engine with a journal and a bus
of its own, on the same files; and clients at the other end of socket pairs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from tests.support.engine_house import FEW_TURNS, WAIT_S, line, quiet, wait_until
from tests.support.raw import RawClient
from tina4_wsgi.backplane.isolation import isolation
from tina4_wsgi.config import Config
from tina4_wsgi.engine import keeper as keeper_module
from tina4_wsgi.engine.engine import Engine
from tina4_wsgi.engine.histories import Histories
from tina4_wsgi.engine.keeper import HubKeeper
from tina4_wsgi.engine.runtime import Runtime
from tina4_wsgi.hosting.switching import Taken
from tina4_wsgi.journal import database as database_module
from tina4_wsgi.protocol.framing import text_frame
from tina4_wsgi.protocol.marks import Claim
from tina4_wsgi.routing.names import GroupKind
from tina4_wsgi.routing.router import Router
from tina4_wsgi.websocket.connection import Accepted, Connection
from tina4_wsgi.websocket.opening_handshake import OpeningHandshake
from tina4_wsgi.websocket.served_route import ServedRoute

ME = "tab_12345678"
OTHER = "other-567890"
PATH = GroupKind.PATH
ROOM = GroupKind.ROOM

Callback = Callable[[Any, str, Any], object]


class Page:
    """A client, and the worker's side of it.

    Attributes:
        raw: the client.
        connection: what its callbacks see.
        me: the name that it gave itself; "" for a plain client.
    """

    def __init__(self, raw: RawClient, connection: Connection, me: str) -> None:
        self.raw = raw
        self.connection = connection
        self.me = me

    def read(self, count: int = 1) -> list[str]:
        """Read so many messages, marks included; a binary one as the text of its bytes."""
        found = []
        for _ in range(count):
            frame = self.raw.read_frame()
            assert frame.first in (0x81, 0x82), frame
            found.append(frame.payload.decode())
        return found

    def read_to(self, text: str) -> list[str]:
        """Read up to a message that ends like that, and without it."""
        found: list[str] = []
        while not (found and found[-1].endswith(text)):
            found += self.read()
        return found[:-1]

    def settled(self) -> tuple[list[str], str]:
        """Read up to the mark that says that all was said, and give what came and the position."""
        found: list[str] = []
        while not (found and found[-1][:1] == "#" and found[-1] != "#:"):
            found += self.read()
        return found[:-1], found[-1][1:-1]

    def heard_nothing(self) -> bool:
        """Return whether nothing is on its way to it, once everything due has been done."""
        for _ in range(FEW_TURNS):
            gevent.sleep(0.001)
        self.raw.socket.settimeout(0)
        try:
            self.raw._receive()
        except (BlockingIOError, TimeoutError):
            return not self.raw._received
        finally:
            self.raw.socket.settimeout(WAIT_S)
        return False

    def cut(self) -> None:
        """Lose the line, and wait until the worker knows."""
        self.raw.close()
        wait_until(lambda: self.connection.closed)


class Worker:
    """One process of the app, as far as its engine goes."""

    def __init__(self, config: Config, router: Router, root: Path) -> None:
        self.config = config
        self.router = router
        self.runtime = Runtime(config, root=str(root))
        histories = self.runtime.histories = self.new_histories()
        if histories.is_any():
            self.runtime.keep_history(histories)
        self._served: dict[str, ServedRoute] = {}
        self.pages: list[Page] = []

    def new_histories(self) -> Histories:
        """What the routes and rooms keep."""

        def route_of(path: str) -> Any:
            found = self.router.match_websocket(path)
            return None if found is None else found.route

        return Histories(self.config, lambda: self.router.routes, route_of, self.router.rooms)

    @property
    def engine(self) -> Engine:
        """The engine of this hub."""
        return self.runtime.engine()

    @property
    def keeper(self) -> HubKeeper:
        """Its journal."""
        return self.engine.keeper_here()

    def let_in(
        self,
        path: str,
        me: str = "",
        position: str = "",
        *,
        send_buffer: int = 0,
        window_bits: int = 0,
        early: bytes = b"",
    ) -> Page:
        """Let a client in, as after its handshake."""
        raw, theirs = line(send_buffer)
        match = self.router.match_websocket(path)
        assert match is not None
        route, params = match
        served = self._served.get(route.path)
        if served is None:
            limits = self.config.for_route(route.options)
            served = self._served[route.path] = ServedRoute(route, limits)
        environ = {"PATH_INFO": path, "QUERY_STRING": "", "HTTP_HOST": "h", "REMOTE_ADDR": "::1"}
        claim = Claim(me, position) if me else None
        visit = Accepted(
            served,
            OpeningHandshake(environ, ()),
            path,
            params,
            window_bits=window_bits,
            claim=claim,
        )
        connection = self.engine.adopt(Taken(raw, early), visit).connection
        self.pages.append(Page(RawClient(theirs), connection, me))
        return self.pages[-1]

    def come(self, path: str, me: str = ME, position: str = "") -> tuple[Page, list[str], str]:
        """Let a client in that marks; give it with all it was told at first, and its position."""
        page = self.let_in(path, me, position)
        told, position = page.settled()
        return page, told, position

    def say(self, path: str, text: str, **options: Any) -> None:
        """Broadcast to a path, as a view does."""
        self.runtime.fanout.broadcast(PATH, path, text_frame(text), **options)

    def say_in_room(self, room: str, text: str, **options: Any) -> None:
        """The same in a room."""
        self.runtime.fanout.broadcast(ROOM, room, text_frame(text), **options)

    def finish(self) -> None:
        """End the turn, as far as what is kept goes."""
        self.runtime.fanout.finish_keeping()

    def leave(self) -> None:
        """Close everything."""
        for page in self.pages:
            page.raw.close()
        for _ in range(FEW_TURNS):
            gevent.sleep(0.001)
        self.runtime.drain(1.0)
        self.runtime.close()
        gevent.sleep(0)


class Workers:
    """Makes workers of one app."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.router = Router()
        self.made: list[Worker] = []

    def route(self, path: str, callback: Callback = quiet, **options: Any) -> None:
        """Add a route."""
        self.router.websocket(path, **options)(callback)

    def start(self, count: int = 1, **settings: Any) -> list[Worker]:
        """Start workers, and wait until they are linked.

        Routes that another router has got meanwhile are a table of their own, as in a deploy.
        """
        config = Config(bus_dir=str(self.folder / "bus"), **settings)
        started = [Worker(config, self.router, self.folder) for _ in range(count)]
        self.made += started
        for one in started:
            assert one.engine is not None
        if config.backplane == "local":
            links = len(self.made) - 1
            wait_until(
                lambda: all(
                    one.runtime.fanout.relay.status().siblings >= links for one in self.made
                )
            )
        return started

    @property
    def journal_path(self) -> Path:
        """The file."""
        return self.folder / "bus" / "history-0.sqlite"

    def end(self, worker: Worker) -> None:
        """Stop one of them."""
        self.made.remove(worker)
        worker.leave()


def talk(connection: Any, event: str, data: str) -> None:
    """A callback that tells each message to all."""
    if event == "message":
        connection.broadcast(data)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a journal that can't be used looked after at once; for modules that import this."""
    monkeypatch.setattr(keeper_module, "_MEND_S", 0.03)
    monkeypatch.setattr(database_module, "PATIENCE_S", 0.002)


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    """Workers of one app."""
    # A TestClient of an earlier test in this process may have turned it on.
    monkeypatch.setattr(isolation, "is_on", False)
    with tempfile.TemporaryDirectory(prefix="t4") as name:
        workers = Workers(Path(name))
        yield workers
        for one in workers.made:
            one.leave()
