"""The application of docs/operations.md shows its live page to who has the token, and its
numbers.
"""

from __future__ import annotations

import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.command import serving
from tests.support.markdown import blocks_of
from tests.support.raw import RawClient

PAGE = servers.ROOT / "docs" / "operations.md"
LIVE = "/__tina4/live"
TIMEOUT_S = 10


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    folder: Path = tmp_path_factory.mktemp("operations")
    for block in blocks_of(PAGE):
        if block.mark == "file":
            (folder / block.value).write_text(block.text)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ADMIN_TOKEN", "s3cret")
        with serving(folder) as running:
            yield running


def test_the_page_names_every_logger_and_no_other():
    package = servers.ROOT / "tina4_wsgi"
    names = {
        name
        for path in package.rglob("*.py")
        for name in re.findall(r'getLogger\("tina4_wsgi\.([\w.]+)"', path.read_text())
    }

    page = PAGE.read_text()
    table = page[page.index("| logger |") : page.index("\n\n`tina4-wsgi serve` shows them")]
    told = {
        name
        for line in table.splitlines()
        for name in re.findall(r"`(?:tina4_wsgi)?\.([\w.]+)`", line.split("|")[1])
    }

    assert told == names


def browser() -> urllib.request.OpenerDirector:
    """Something that keeps cookies and follows redirects."""
    return urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))


def log_in(server: servers.Server, token: str) -> tuple[str, str]:
    """Look at the live page, fill in the form that asks for the token, and give address and text of
    what comes.
    """
    opener = browser()
    with opener.open(f"{server.url}{LIVE}", timeout=TIMEOUT_S) as form:
        address = form.geturl()
    with opener.open(
        address, urllib.parse.urlencode({"token": token}).encode(), timeout=TIMEOUT_S
    ) as page:
        return urllib.parse.urlsplit(page.geturl()).path, page.read().decode()


def test_who_has_the_token_sees_the_live_page(server):
    path, page = log_in(server, "s3cret")

    assert (path, "Live connections" in page) == (LIVE, True)


@pytest.mark.parametrize("token", ["", "wrong", "\u00e9"])
def test_nobody_else_does(server, token):
    path, page = log_in(server, token)

    assert (path, "Live connections" in page) == ("/admin", False)


def test_health_and_numbers_are_there(server):
    with RawClient.open(server.address, "/ws/chat/general") as ada:
        ada.send_text("hello")
        ada.read_text()

        with browser().open(f"{server.url}/metrics", timeout=TIMEOUT_S) as numbers:
            assert 'tina4_connections{route="/ws/chat/{room}"} 1.0' in numbers.read().decode()
        with browser().open(f"{server.url}/health", timeout=TIMEOUT_S) as health:
            assert b'"status":"ready"' in health.read()
