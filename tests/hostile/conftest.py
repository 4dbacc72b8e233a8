"""Real servers of each kind, and in every test a bystander on the same server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from tests.support.hostile import Bystander, Memory, run_arena
from tests.support.raw import RawClient
from tests.support.site import KINDS, Site

_tags = count(1)


@pytest.fixture(scope="session", params=KINDS)
def arena(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A server with apps/arena.py; one of each kind for the whole run."""
    with run_arena(request.param, tmp_path_factory.mktemp(f"arena-{request.param}")) as running:
        yield running


@pytest.fixture(scope="module")
def serving_pid(arena: Site) -> int:
    """The process that serves."""
    return int(arena.state()["pid"])


@pytest.fixture(scope="module")
def memory(serving_pid: int) -> Memory:
    """The memory of the process that serves."""
    return Memory(serving_pid)


@pytest.fixture
def tag() -> str:
    """A name that no other test uses, for the path of a hostile client."""
    return f"h{next(_tags)}"


@pytest.fixture(autouse=True)
def bystander(arena: Site, serving_pid: int) -> Iterator[None]:
    """Fail the test if an honest client of the same server was disturbed."""
    with Bystander(arena.address, "/ws/echo/bystander", serving_pid):
        yield


@pytest.fixture
def dial(arena: Site, tag: str) -> Iterator[Callable[[str], RawClient]]:
    """Open a WebSocket to a route of the arena, by the route's name; all are closed at the end."""
    opened: list[RawClient] = []

    def open_one(route: str, *fields: tuple[str, str]) -> RawClient:
        opened.append(RawClient.open(arena.address, f"/ws/{route}/{tag}", fields))
        return opened[-1]

    yield open_one
    for client in opened:
        client.close()
