"""What the doctor would find in a running process is logged there, once, with the first upgrade."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.raw import RawClient
from tests.support.site import run_site
from tina4_wsgi.config import Config
from tina4_wsgi.engine.runtime import Runtime

APPS = Path(__file__).parents[1] / "acceptance" / "apps"
ENV = {"TINA4_WS_BACKPLANE": "none", "TINA4_WS_MAX_CONNECTIONS": "9000000"}


def test_a_worker_says_once_what_is_wrong_with_it(tmp_path: Path) -> None:
    with run_site(
        "gunicorn", "shout:app", tmp_path, "-w", "2", env=ENV, working_folder=APPS
    ) as site:
        assert "the limit on open files" not in site.server.log  # nobody has come yet
        pids = set()
        for _ in range(12):
            with RawClient.open(site.address, "/ws/shout") as client:
                pids.add(client.read_text().split()[1])

        log = site.server.log
        assert log.count("2 workers and nothing between them, so a broadcast reaches") == len(pids)
        assert log.count("the limit on open files leaves room for") == len(pids)
        assert "is not patched" not in log
        assert "patched too late" not in log


def test_a_process_that_nobody_patched_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    process = Runtime(Config())

    for _ in range(2):
        process.look_around()

    said = [record.getMessage() for record in caplog.records if record.name == "tina4_wsgi.checks"]
    (line,) = (line for line in said if "the standard library is not patched" in line)
    assert "callbacks run in greenlets" in line
    assert "or serve it by a server with threads, where callbacks may wait" in line
    process.close()


@pytest.mark.parametrize("kind", ["gunicorn", "own"])
def test_what_came_before_the_app_is_not_the_apps_to_mend(kind: str, tmp_path: Path) -> None:
    """As `newrelic-admin run-program` and `opentelemetry-instrument` import before a server
    starts.
    """
    (tmp_path / "sitecustomize.py").write_text("import tracer\n")
    (tmp_path / "tracer.py").write_text(
        "from socket import create_connection\nfrom time import sleep\n"
    )
    env = {
        "TINA4_WS_BACKPLANE": "none",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(servers.ROOT)]),
    }

    with run_site(kind, "shout:app", tmp_path, env=env, working_folder=APPS) as site:
        with RawClient.open(site.address, "/ws/shout") as client:
            client.read_text()

        assert "patched too late" not in site.server.log


def test_what_an_app_imports_before_anything_is_patched_is_its_own_to_mend(tmp_path: Path) -> None:
    (tmp_path / "early.py").write_text("from time import sleep\n")
    (tmp_path / "wsgi.py").write_text(
        f"import early, sys\nsys.path.append({str(APPS)!r})\nfrom shout import app\n"
    )
    env = {"TINA4_WS_BACKPLANE": "none"}

    with run_site(
        "gunicorn", "wsgi:app", tmp_path, "--preload", env=env, working_folder=tmp_path
    ) as site:
        with RawClient.open(site.address, "/ws/shout") as client:
            client.read_text()

        assert "patched too late: early holds time.sleep, which block all others" in site.server.log
