"""The gunicorn configuration of docs/deployment.md serves the application of that page."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.markdown import blocks_of
from tests.support.raw import RawClient

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "deployment.md"


@pytest.mark.deadline(60)
def test_its_workers_serve_and_hear_each_other(tmp_path):
    for block in blocks_of(PAGE):
        if block.value in ("wsgi.py", "gunicorn.conf.py"):
            (tmp_path / block.value).write_text(block.text)
    (tmp_path / "told.py").write_text("from wsgi import app\nprint('loaded')\n")
    env = {
        "PYTHONPATH": str(ROOT),
        "TINA4_WS_BUS_DIR": str(tmp_path / "bus"),
        "TINA4_WS_DRAIN_SPREAD_S": "0",
    }

    with servers.gunicorn(
        "told:app", tmp_path, tmp_path / "log", "--workers", "2", env=env
    ) as server:
        server.wait_for_log(
            "(?s)loaded.*loaded"
        )  # earlier, a worker of gunicorn may miss the SIGTERM at the end
        with urllib.request.urlopen(f"{server.url}/health", timeout=10) as answer:
            assert json.load(answer)["status"] == "ready"
        with (
            RawClient.open(server.address, "/ws/news") as ada,
            RawClient.open(server.address, "/ws/news") as bob,
            RawClient.open(server.address, "/ws/news") as eve,
        ):
            ada.send_text("hello")

            assert ada.read_text() == bob.read_text() == eve.read_text() == "hello"
