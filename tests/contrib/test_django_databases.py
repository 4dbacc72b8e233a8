"""Idle connections hold nothing of the database, as PostgreSQL itself counts."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contrib import django_house
from tests.contrib.django_house import ask, hear
from tests.support import postgres
from tests.support.postgres import Postgres
from tests.support.raw import RawClient
from tests.support.site import NATIVE_KINDS, OPTIONS_OF_KIND

pytestmark = pytest.mark.deadline(60)

KINDS = ("gevent", *NATIVE_KINDS)
MOST_S = 10.0
POLL_S = 0.05


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    """A PostgreSQL of this module's own."""
    with postgres.running() as running:
        yield running


def serving(
    kind: str, folder: Path, entry: dict[str, Any]
) -> contextlib.AbstractContextManager[django_house.Site]:
    """Run the project with this database in one kind of gunicorn's workers."""
    options = ("-k", kind, *OPTIONS_OF_KIND.get(kind, ()))
    return django_house.serving(
        folder, "newest", "project.wsgi:application", *options, DATABASES={"default": entry}
    )


def settle(database: Postgres, application: str, most: int) -> list[str]:
    """Give the connections of the application as soon as there are not more than `most`: a close
    takes a moment.
    """
    give_up_at = time.monotonic() + MOST_S
    while len(states := database.connections(application)) > most and time.monotonic() < give_up_at:
        time.sleep(POLL_S)
    return states


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("conn_max_age", [0, None], ids=["CONN_MAX_AGE=0", "CONN_MAX_AGE=None"])
def test_a_hundred_idle_connections_hold_no_database_connection(
    database: Postgres, tmp_path: Path, kind, conn_max_age
):
    name = f"idle {kind} {conn_max_age}"
    entry = {**database.django(name), "CONN_MAX_AGE": conn_max_age}
    with (
        serving(kind, tmp_path, entry) as site,
        contextlib.ExitStack() as clients,
    ):
        everybody: list[RawClient] = [
            clients.enter_context(site.open("/ws/notes")) for _ in range(100)
        ]
        assert [hear(client) for client in everybody] == [{"notes": 0}] * 100
        assert [ask(client, "count") for client in everybody] == [{"notes": 0}] * 100

        assert settle(database, name, 0) == []
        assert [ask(client, "count") for client in everybody[:3]] == [{"notes": 0}] * 3


@pytest.mark.parametrize("kind", KINDS)
def test_djangos_pool_keeps_no_more_than_its_own_size(database: Postgres, tmp_path: Path, kind):
    name = f"pooled {kind}"
    entry = database.django(name)
    entry["OPTIONS"]["pool"] = {"min_size": 2, "max_size": 4}
    with (
        serving(kind, tmp_path, entry) as site,
        contextlib.ExitStack() as clients,
    ):
        everybody = [clients.enter_context(site.open("/ws/notes")) for _ in range(100)]
        assert [hear(client) for client in everybody] == [{"notes": 0}] * 100

        states = settle(database, name, 4)
        assert len(states) <= 4
        assert set(states) == {"idle"}


def test_atomic_requests_put_a_transaction_around_an_event(database: Postgres, tmp_path: Path):
    entry = {**database.django("atomic"), "ATOMIC_REQUESTS": True}
    with (
        django_house.serving(tmp_path, DATABASES={"default": entry}) as site,
        site.open("/ws/probe/a") as client,
    ):
        hear(client)
        client.send_text("visit and fail")
        client.send_text("leave transaction")

        assert ask(client, "count") == {"notes": 0}
        assert ask(client, "atomic") == {"in_atomic_block": True}
        with site.open("/ws/apart") as other:
            assert hear(other) == {"in_atomic_block": False}
        assert settle(database, "atomic", 0) == []
