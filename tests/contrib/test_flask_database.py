"""Flask-SQLAlchemy in WebSocket callbacks, on a real PostgreSQL: open sockets hold no database
connection.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.postgres import Postgres
from tests.support.raw import RawClient
from tests.support.site import NATIVE_KINDS, Site, run_site

APPS = Path(__file__).parent / "apps"
CONNECTIONS = 100
POOL_SIZE = 5  # what SQLAlchemy keeps open by default
KINDS = ("gunicorn", *NATIVE_KINDS)
POOLS = ("QueuePool", "NullPool")
PATIENCE_S = 10.0


class Orders:
    """The app, running with one kind of pool in one kind of worker."""

    def __init__(self, site: Site, postgres: Postgres, pool: str, name: str) -> None:
        self.site = site
        self.pool = pool
        self._postgres = postgres
        self._name = name

    def connect(self) -> RawClient:
        """Connect, and see that "open" has asked the database."""
        with contextlib.ExitStack() as opened:
            client = opened.enter_context(RawClient.open(self.site.address, "/ws/orders"))
            assert client.read_text().isdecimal()
            opened.pop_all()
            return client

    def states(self) -> list[str]:
        """Give what PostgreSQL says of each connection of the app."""
        return self._postgres.connections(self._name)

    def wait_for_states(self, is_right: Callable[[list[str]], bool]) -> list[str]:
        """Wait until PostgreSQL sees it so: the last callback may be about to end its
        transaction.
        """
        give_up_at = time.monotonic() + PATIENCE_S
        while not is_right(states := self.states()) and time.monotonic() < give_up_at:
            time.sleep(0.01)
        return states


@pytest.fixture(
    scope="module",
    params=[(kind, pool) for kind in KINDS for pool in POOLS],
    ids=lambda param: "-".join(param),
)
def orders(
    request: pytest.FixtureRequest, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Orders]:
    """The app under gunicorn: in its gevent worker, and in those that nothing is patched in."""
    kind, pool = request.param
    name = f"{kind}-{pool}"
    env = {"DATABASE": postgres.url("postgresql+psycopg", name), "POOL": pool}
    folder = tmp_path_factory.mktemp("orders")
    with run_site(kind, "flask_orders:app", folder, env=env, working_folder=APPS) as site:
        yield Orders(site, postgres, pool, name)


def test_a_hundred_connections_that_used_the_orm_hold_no_database_connection(orders):
    most = {"QueuePool": POOL_SIZE, "NullPool": 0}[orders.pool]
    with contextlib.ExitStack() as opened:
        clients = [opened.enter_context(orders.connect()) for _ in range(CONNECTIONS)]
        for client in clients[::10]:
            client.send_text("add")
            assert client.read_text().isdecimal()

        states = orders.wait_for_states(
            lambda states: len(states) <= most and set(states) <= {"idle"}
        )

        assert len(states) <= most
        assert set(states) <= {"idle"}  # none is "idle in transaction"
        if orders.pool == "QueuePool":
            assert orders.site.request("GET", "/pool") == (200, b'{"checked_out":0}\n')


def test_a_callback_that_raises_leaves_no_transaction(orders):
    with orders.connect() as client:
        client.send_text("add")
        before = int(client.read_text())
        client.send_text("fail")
        assert client.read_text() == "it is in the transaction"
        client.send_text("add")

        assert int(client.read_text()) == before + 1  # the half order was rolled back
        states = orders.wait_for_states(lambda states: set(states) <= {"idle"})
        assert set(states) <= {"idle"}


def test_others_are_served_while_a_callback_waits_for_the_database(orders, postgres):
    with postgres.connect() as locked, orders.connect() as waiting, orders.connect() as other:
        locked.execute("SELECT pg_advisory_lock(1)")
        waiting.send_text("wait")
        orders.wait_for_states(lambda states: "active" in states)
        other.send_text("add")
        assert other.read_text().isdecimal()
        locked.execute("SELECT pg_advisory_unlock(1)")

        assert waiting.read_text() == "got it"
