"""A Flask app answers wrapped as it does bare, byte by byte, under gunicorn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.raw import RawClient
from tests.support.same_answers import ENVIRONMENT, Address, Case, assert_same, cases, request

APPS = Path(__file__).parent / "apps"
AT_A_SOCKET = [  # where the wrapped app has a WebSocket; bare it has the same route
    Case("socket GET", request("GET", "/ws/echo"), (400,)),
    Case("socket POST", request("POST", "/ws/echo", body=b"x"), (405, 400)),
]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Address, Address]]:
    """The addresses of the bare app and of the wrapped one."""
    folder = tmp_path_factory.mktemp("flask-probe")
    env = {"PYTHONPATH": str(servers.ROOT), **ENVIRONMENT}
    with (
        servers.gunicorn("flask_probe:bare", APPS, folder / "bare.log", env=env) as bare,
        servers.gunicorn("flask_probe:wrapped", APPS, folder / "wrapped.log", env=env) as wrapped,
    ):
        yield bare.address, wrapped.address
        bare.end()
        wrapped.end()


@pytest.mark.parametrize("case", [*cases(), *AT_A_SOCKET], ids=str)
def test_a_wrapped_app_answers_as_it_does_bare(pair, case):
    assert_same(*pair, case)


def test_the_wrapped_app_serves_its_socket_there(pair):
    with RawClient.open(pair[1], "/ws/echo") as client:
        client.send_text("hello")
        assert client.read_text() == "hello"
