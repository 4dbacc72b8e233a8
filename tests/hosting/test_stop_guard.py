"""What a stopping server does with those who come late, and how long it lets the slow ones hold it
up.
"""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.support import servers
from tests.support.own_server import dial, running
from tests.support.raw import CLOSE, RawClient
from tests.support.site import run_site
from tina4_wsgi import App, Router

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def test_an_upgrade_while_the_app_drains_is_refused_with_a_time_to_come_back() -> None:
    router, release = Router(), Event()

    @router.websocket("/ws/busy")
    def busy(connection: Any, event: str, data: str) -> None:
        if event == "message":
            connection.send("began")
            release.wait()

    app = App(router=router)
    with running(app) as server, dial(server) as client, dial(server) as late:
        client.upgrade("/ws/busy")
        client.send_text("begin")
        assert client.read_text() == "began"
        draining = gevent.spawn(app.drain, 5.0)
        gevent.sleep(0)

        head = late.ask_upgrade("/ws/busy", KEY)

        assert head.status == 503
        assert int(head.headers["retry-after"]) > 0
        release.set()
        assert client.read_close() == 1001
        client.send_close(1001)
        draining.get()


@pytest.mark.parametrize("worker_class", ["gevent", "gevent_pywsgi"])
def test_a_drain_ends_before_a_graceful_timeout_that_is_shorter(
    tmp_path: Path, worker_class: str
) -> None:
    """One callback never ends and one client never answers; with ours of 10 s the worker would be
    killed.
    """
    options = ["--graceful-timeout", "3", "--worker-class", worker_class]
    with (
        run_site("gunicorn", "main:app", tmp_path, *options) as site,
        RawClient.open(site.address, "/ws/ends/x?tag=stuck&message=outlast:nobody") as stuck,
        RawClient.open(site.address, "/ws/ends/x?tag=mute") as mute,
    ):
        stuck.send_text("work")
        assert stuck.read_text() == "heard work"
        site.server.process.send_signal(signal.SIGTERM)

        assert codes(mute) == [1001]
        assert site.server.process.wait(servers.STOP_S) == 0
        assert site.journal.wait_for("mute", "close")["code"] == 1001
        assert "graceful timeout" not in site.server.log
        assert "SIGKILL" not in site.server.log


def codes(client: RawClient) -> list[int]:
    """Read to the end, answer nothing, and give the codes of the close frames."""
    frames = []
    with contextlib.suppress(ConnectionError):
        while True:
            frames.append(client.read_frame())
    return [frame.close_code for frame in frames if frame.opcode == CLOSE]
