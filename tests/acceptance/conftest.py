"""Real servers with small applications, one of each kind for the whole run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import count

import pytest

from tests.support.raw import RawClient
from tests.support.site import KINDS, Connect, Site, run_site

TIGHT_LIMITS = {
    "TINA4_WS_PING_INTERVAL_S": "0.3",
    "TINA4_WS_PONG_TIMEOUT_S": "0.4",
    "TINA4_WS_CLOSE_TIMEOUT_S": "0.3",
    "TINA4_WS_SEND_TIMEOUT_S": "0.5",
    "TINA4_WS_MAX_OUTBOUND_BYTES": "262144",
    "TINA4_WS_MAX_INBOUND_MESSAGES": "16",
    "TINA4_WS_MAX_CONNECTIONS": "12",
}

_tags = count(1)


@pytest.fixture(scope="session", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """The kinds of servers, one after the other."""
    return str(request.param)


@pytest.fixture(scope="session")
def site(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server with apps/main.py."""
    with run_site(kind, "main:app", tmp_path_factory.mktemp(f"main-{kind}")) as running:
        yield running


@pytest.fixture(scope="session")
def tight_site(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server with apps/limits.py, whose limits are reached quickly."""
    with run_site(
        kind, "limits:app", tmp_path_factory.mktemp(f"limits-{kind}"), env=TIGHT_LIMITS
    ) as running:
        yield running


@pytest.fixture
def connect(site: Site) -> Iterator[Connect]:
    """Open a connection to a path of `site`; all are closed at the end."""
    with contextlib.ExitStack() as opened:
        yield lambda path, fields=(): opened.enter_context(
            RawClient.open(site.address, path, fields)
        )


@pytest.fixture
def tag() -> str:
    """A name that no other test uses, for a client, a room or a path."""
    return f"t{next(_tags)}"
