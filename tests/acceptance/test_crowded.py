"""Callbacks that wait have taken all of `max_callbacks` of a real server: what goes on, and what is
told to whom.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.raw import PING, PONG, RawClient
from tests.support.site import ANSWER_S, POLL_S, Site, run_site

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MOST = 3
ENV = {
    "TINA4_WS_MAX_CALLBACKS": str(MOST),
    "TINA4_WS_CALLBACK_THREADS": str(MOST),  # which counts where there is no hub
    "TINA4_WS_DRAIN_TIMEOUT_S": "4",
}


@pytest.fixture
def crowded(kind: str, tmp_path: Path) -> Iterator[tuple[Site, list[RawClient]]]:
    """A server whose callbacks all wait, and the clients that they serve; the last one is idle."""
    with run_site(kind, "limits:app", tmp_path, env=ENV) as site, contextlib.ExitStack() as opened:
        clients = [
            opened.enter_context(RawClient.open(site.address, "/ws/waiting/x")) for _ in range(MOST)
        ]
        clients.append(opened.enter_context(RawClient.open(site.address, "/ws/echo/idle")))
        clients[-1].send_text("hello")
        assert clients[-1].read_text() == "hello"
        for client in clients[:MOST]:
            client.send_text("wait")
        for client in clients[
            :MOST
        ]:  # its pong comes behind the message, so that one has been read
            client.send_frame(PING, b"")
            assert client.read_frame().opcode == PONG
        yield site, clients


def status_of_a_handshake(site: Site) -> tuple[int, str | None]:
    with RawClient.dial(site.address) as client:
        head = client.ask_upgrade("/ws/echo/new", KEY)
        return head.status, head.headers.get("retry-after")


def test_close_frames_are_answered_newcomers_refused_and_http_goes_on(
    crowded: tuple[Site, list[RawClient]],
) -> None:
    site, clients = crowded
    idle = clients[-1]

    give_up_at_s = time.monotonic() + ANSWER_S
    statuses = []
    while not statuses or statuses[-1][0] != 503:
        assert time.monotonic() < give_up_at_s, statuses
        statuses.append(status_of_a_handshake(site))
        time.sleep(POLL_S)
    idle.send_close(4000)

    assert statuses[0] == (101, None)  # there was room
    assert statuses[-1] == (503, "5")
    assert idle.read_close() == 4000
    assert site.request("POST", "/wake/x")[0] == 200
    assert [client.read_text() for client in clients[:MOST]] == ["awake"] * MOST
    while status_of_a_handshake(site)[0] != 101:
        assert time.monotonic() < give_up_at_s
        time.sleep(POLL_S)


def test_a_server_that_stops_says_1001_to_everybody(crowded: tuple[Site, list[RawClient]]) -> None:
    site, clients = crowded
    newcomer = RawClient.open(site.address, "/ws/echo/late")

    site.server.process.send_signal(signal.SIGTERM)

    for client in (*clients, newcomer):
        assert client.read_close() == 1001
        client.send_close(1001)
        assert client.read_to_end() == b""  # no reset
        client.close()
    assert site.server.process.wait(servers.STOP_S) == 0
