"""The chapter's examples, served by our own server and by gunicorn; the frameworks' by gunicorn,
with two browsers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from tests.examples.browser import chromium
from tests.support import servers
from tests.support.live_examples import Example, LivePage
from tests.support.servers import Server

KINDS = ("own", "gunicorn", "preload")
CONVERSATIONS = (
    "/echo",
    "/chat",
    "/announcements",
    "/chat/general",
    "/livechat/general",
    "/private",
    "/room/general",
)
"""The chapter's pages, apart from the list of them at /."""

StartServer = Callable[..., contextlib.AbstractContextManager[Server]]
OpenPage = Callable[..., LivePage]
Browsers = tuple[WebDriver, WebDriver]


@contextlib.contextmanager
def serve_chapter(kind: str, log_path: Path, port: int | None = None) -> Iterator[Server]:
    """Run `wsgi.py` until the block ends; on `port`, if one is given."""
    preload = ["--preload"] if kind == "preload" else []
    if kind == "own":
        options = ["--port", str(port)] if port else []
        running = servers.own(None, servers.ROOT, log_path, *options)
    else:
        running = servers.gunicorn(
            "wsgi:app", servers.ROOT, log_path, "-w", "1", *preload, port=port or 0
        )
    with running as server:
        servers.wait_until_answering(server)
        yield server


@pytest.fixture(scope="session", params=KINDS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The chapter, under each kind of server in turn."""
    log_path = tmp_path_factory.mktemp("chapter") / f"{request.param}.log"
    with serve_chapter(request.param, log_path) as running:
        yield running


@pytest.fixture(params=KINDS)
def start_server(request: pytest.FixtureRequest, tmp_path: Path) -> StartServer:
    """Start a server of one kind; again on the same `port`, after the first was stopped."""

    def start(port: int | None = None) -> contextlib.AbstractContextManager[Server]:
        return serve_chapter(request.param, tmp_path / f"server-{port}.log", port)

    return start


@pytest.fixture(scope="module")
def example(request: pytest.FixtureRequest) -> Example:
    """The framework's example that a file of tests is about: its `EXAMPLE`."""
    return request.module.EXAMPLE


@pytest.fixture(scope="module")
def served_in(example: Example, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the database of the example is."""
    return tmp_path_factory.mktemp(str(example))


@pytest.fixture(scope="module")
def server_of_example(example: Example, served_in: Path) -> Iterator[Server]:
    """The example, served."""
    with example.serve(served_in) as running:
        yield running


@pytest.fixture(scope="module")
def browsers() -> Iterator[Browsers]:
    """Two browsers, since one has one set of cookies."""
    with chromium() as first, chromium() as second:
        yield first, second


@pytest.fixture
def open_page(
    example: Example, browsers: Browsers, server_of_example: Server
) -> Iterator[OpenPage]:
    """Open the example's page as a user, the first in one browser, the second in the other."""
    opened: list[LivePage] = []

    def open_one(**look: object) -> LivePage:
        number = len(opened)
        opened.append(example.page(browsers[number], server_of_example.url, number, **look))
        return opened[-1]

    yield open_one
    for page in opened:
        page.close()
