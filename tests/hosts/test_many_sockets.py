"""Open WebSockets take nothing of what gunicorn has for HTTP: its `--worker-connections` count
requests alone, and a worker's threads are free.
"""

from __future__ import annotations

import http.client
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import descriptors, servers
from tests.support.crowd import Crowd
from tests.support.raw import ANSWER_S, RawClient
from tests.support.site import NATIVE_KINDS, OPTIONS_OF_KIND

APPS = Path(__file__).with_name("apps")
SOCKETS = 2_000
WORKER_CONNECTIONS = 100
OF_A_HUB = WORKER_CONNECTIONS - 1  # the greenlet that waits for the server's stop keeps one place
AT_ONCE = {"gevent": OF_A_HUB, "gevent_pywsgi": OF_A_HUB, "sync": 1, "gthread": 4}
"""How many requests each kind of worker serves at the same time."""
JOINING_AT_ONCE = 50
OPEN_S = 30.0
GET = "GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module", params=AT_ONCE)
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of gunicorn's workers."""
    return str(request.param)


@pytest.fixture(scope="module")
def server(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    options = ["--worker-connections", str(WORKER_CONNECTIONS), *OPTIONS_OF_KIND.get(kind, ())]
    env = {"PYTHONPATH": str(servers.ROOT)}
    log_path = tmp_path_factory.mktemp("many") / "log"
    # With warnings a sync worker's listener, which it leaves open, would be an error.
    python = (sys.executable,) if kind in NATIVE_KINDS else servers.PYTHON
    with (
        descriptors.at_least(2 * SOCKETS),
        servers.gunicorn(
            "starved:app", APPS, log_path, *options, worker_class=kind, env=env, python=python
        ) as started,
    ):
        yield started
        started.end()


@pytest.fixture(scope="module")
def crowd(server: servers.Server) -> Iterator[Crowd]:
    """Two thousand open WebSockets."""
    with Crowd(server.address) as crowd:
        while len(crowd.members) < SOCKETS:
            for _ in range(JOINING_AT_ONCE):
                crowd.join("/ws/open")
            newest = crowd.members[-JOINING_AT_ONCE:]
            crowd.listen_until(
                lambda newest=newest: all(one.is_open for one in newest), "the 101", OPEN_S
            )
        yield crowd


def ask(server: servers.Server, path: str) -> str:
    connection = http.client.HTTPConnection(*server.address, timeout=ANSWER_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read().decode()
    finally:
        connection.close()


@pytest.mark.deadline(60)
def test_pages_are_answered_beside_2000_open_sockets(server, crowd):
    assert ask(server, "/count") == str(SOCKETS)
    assert [ask(server, "/page") for _ in range(20)] == ["page"] * 20


@pytest.mark.deadline(60)
def test_as_many_requests_as_ever_are_served_at_once(kind, server, crowd):
    at_once = AT_ONCE[kind]
    clients = [RawClient.dial(server.address) for _ in range(at_once)]
    try:
        for client in clients:
            client.send_bytes(GET.format(f"/meet/{at_once}").encode())
        answers = [client.read_head().status for client in clients]
    finally:
        for client in clients:
            client.close()

    assert answers == [200] * at_once


@pytest.mark.deadline(60)
def test_all_of_the_2000_are_served(server, crowd):
    for number, member in enumerate(crowd.members):
        member.send_text(f"message {number}")
    crowd.listen_until(
        lambda: all(member.texts for member in crowd.members), "everybody's echo", OPEN_S
    )

    assert [member.texts for member in crowd.members] == [
        [f"message {number}"] for number in range(SOCKETS)
    ]
