"""Fixtures for pytest: `tina4_client` and `tina4_server`, see docs/testing.md.

pytest loads this module wherever the package is installed, so it imports neither gevent nor the
rest of the package before a test asks for a fixture.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed.wsgi import WSGIApplication

    from .testing import LiveServer, TestClient

OPTION = "tina4_app"
_MEANING = "the app that tina4_client and tina4_server use, as module:name"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the ini option."""
    parser.addini(OPTION, f"{_MEANING}; by default wsgi:app, or the routes in src")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", f"{OPTION}(target): {_MEANING}, for these tests")


@pytest.fixture
def tina4_target(request: pytest.FixtureRequest) -> str | None:
    """The target of the marker or the ini option; None for `wsgi:app`, or the routes in src."""
    marker = request.node.get_closest_marker(OPTION)
    if marker is None:
        return request.config.getini(OPTION) or None

    if len(marker.args) != 1 or not isinstance(marker.args[0], str) or marker.kwargs:
        raise pytest.UsageError(
            f"{OPTION}{marker.args!r}: expected one text, as in {OPTION}('shop.wsgi:app')"
        )
    return marker.args[0]


@pytest.fixture
def tina4_app(request: pytest.FixtureRequest, tina4_target: str | None) -> WSGIApplication:
    """The app that `tina4_client` talks to; a test suite may override it."""
    from gevent import monkey

    from .server.loading import load_app

    with warnings.catch_warnings():
        # A plugin may have imported ssl before the app's module patches the standard library; in a
        # test run that does no harm.
        warnings.simplefilter("ignore", monkey.MonkeyPatchWarning)
        return load_app(tina4_target, request.config.rootpath)


@pytest.fixture
def tina4_client(tina4_app: WSGIApplication) -> Iterator[TestClient]:
    """A client that talks to the app in memory; it is closed after the test."""
    from .testing import TestClient

    with TestClient(tina4_app) as client:
        yield client


@pytest.fixture
def tina4_server(request: pytest.FixtureRequest, tina4_target: str | None) -> Iterator[LiveServer]:
    """The app on a free port of 127.0.0.1, in a process of its own that ends after the test."""
    from .testing import LiveServer

    server = LiveServer(tina4_target, request.config.rootpath)
    with server:
        yield server
    print(server.log)  # noqa: T201  # pytest shows it when the test failed
