"""A reload of an app that one process alone may open: the hook of docs/deploys.md makes it calm."""

from __future__ import annotations

import http.client
import signal
import time
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.markdown import blocks_of
from tests.support.raw import RawClient

PAGE = servers.ROOT / "docs" / "deploys.md"
NEW_WORKER_S = 25.0
APP = """
import fcntl, os

lock = open("Data.fs.lock", "a")
fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where another process has it

from tina4_wsgi import App, Router

router = Router()
router.websocket("/ws/x", lambda connection, event, data: None)
router.get("/pid", lambda request, response: str(os.getpid()))
app = App(router=router)
"""


def pid_of(server: servers.Server) -> str:
    connection = http.client.HTTPConnection(*server.address, timeout=NEW_WORKER_S)
    try:
        connection.request("GET", "/pid", headers={"Connection": "close"})
        return connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException):
        return ""  # the old worker was about to go
    finally:
        connection.close()


@pytest.mark.deadline(90)
@pytest.mark.parametrize("sockets", [0, 20])
def test_a_new_worker_that_waits_for_the_lock_takes_over(sockets: int, tmp_path: Path) -> None:
    (hook,) = (block.text for block in blocks_of(PAGE) if block.value == "gunicorn.conf.py")
    (tmp_path / "gunicorn.conf.py").write_text(hook)
    (tmp_path / "wsgi.py").write_text(APP)
    env = {"PYTHONPATH": str(servers.ROOT)}

    with servers.gunicorn(
        "wsgi:app", tmp_path, tmp_path / "log", "--timeout", "60", env=env
    ) as server:
        old = pid_of(server)
        clients = [RawClient.open(server.address, "/ws/x") for _ in range(sockets)]
        server.process.send_signal(signal.SIGHUP)
        for client in clients:
            assert client.read_close() == 1001
            client.send_close(1001)
            client.close()
        give_up_at = time.monotonic() + NEW_WORKER_S
        while (new := pid_of(server)) in (old, "") and time.monotonic() < give_up_at:
            assert server.process.poll() is None, server.log

        assert new not in (old, "")
        assert "failed to boot" not in server.log
