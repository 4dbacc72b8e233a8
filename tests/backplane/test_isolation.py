"""A test of an app is not heard by a server of the same project that runs beside it, and hears
nothing of it.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.backplane.conftest import APPS, environment, settle
from tests.support import servers
from tests.support.crowd import Crowd
from tina4_wsgi.config import isolated_environ

A_TEST = """
import hall
from tina4_wsgi.testing import TestClient
with TestClient(hall.app) as client:
    client.get("/broadcast/from-a-view")
    with client.websocket("/ws/hall/a") as ws:
        ws.send("from a callback")
        print(ws.receive(), hall.app.count("/ws/hall/a"))
"""


def test_what_a_test_client_makes_an_app_say_stays_in_its_process(tmp_path):
    env = environment(bus_dir=tmp_path / "bus")
    with (
        servers.own("hall:app", APPS, tmp_path / "log", env=env) as server,
        Crowd(server.address) as crowd,
    ):
        member = settle(crowd, server, "/ws/hall/a")
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", A_TEST],
            cwd=APPS,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        member.send_text("last")
        crowd.listen_until(lambda: "last" in member.texts, "the server's own word")

    assert done.stdout == "from a callback 1\n", done.stderr
    assert member.texts == ["last"]


def test_a_live_server_is_on_its_own_unless_the_environment_says_more(monkeypatch):
    monkeypatch.delenv("TINA4_WS_BUS_DIR", raising=False)
    alone = isolated_environ()
    monkeypatch.setenv("TINA4_WS_BUS_DIR", "bus")

    assert alone["TINA4_WS_BACKPLANE"] == "none"
    assert "TINA4_WS_BACKPLANE" not in isolated_environ()
