"""Where a publisher looks for the server that it means, when it runs in another folder: cron, a
task queue.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.raw import RawClient

PUBLISH = "from tina4_wsgi import publish; print(publish('/ws/hall/a', 'hi'))\n"
APP = """
from gevent import monkey; monkey.patch_all()
from tina4_wsgi import App, Router

@Router.websocket("/ws/hall/{name}")
def hall(connection, event, data):
    pass

app = App()
"""
VARIABLES = {"PYTHONPATH": str(servers.ROOT), "HOME": "/nonexistent"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / "jobs" / "night").mkdir(parents=True)
    (folder / "wsgi.py").write_text(APP)
    return folder


@pytest.fixture
def server(project, tmp_path):
    env = VARIABLES | {"TINA4_WS_BUS_DIR": ""}  # where it would be without a word about it
    with (
        servers.own("wsgi:app", project, tmp_path / "log", env=env) as server,
        RawClient.open(
            server.address, "/ws/hall/a"
        ),  # a process meets others from its first client on
    ):
        yield server


def publish_from(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith("TINA4_WS_")
    }
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environ | VARIABLES,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def taken(done: subprocess.CompletedProcess[str]) -> bool:
    assert done.returncode == 0, done.stderr
    return done.stdout == "Receipt(processes=1, clients=1)\n"


def test_a_publisher_finds_the_server_of_its_own_folder(server, project):
    assert taken(publish_from(project, "-c", PUBLISH))


def test_a_publisher_finds_the_server_of_a_folder_above_its_own(server, project):
    assert taken(publish_from(project / "jobs" / "night", "-c", PUBLISH))


def test_a_program_that_cron_starts_elsewhere_finds_the_server_of_the_folder_that_it_lies_in(
    server, project
):
    (project / "measure.py").write_text(PUBLISH)

    assert taken(publish_from(Path("/"), str(project / "measure.py")))


def test_a_program_in_a_folder_below_the_project_finds_its_server_from_elsewhere(server, project):
    (project / "jobs" / "night" / "clean.py").write_text(PUBLISH)

    assert taken(publish_from(Path("/"), str(project / "jobs" / "night" / "clean.py")))


def test_a_program_that_has_configured_django_finds_the_server_in_its_base_dir(
    server, project, tmp_path
):
    program = tmp_path / "elsewhere" / "worker.py"
    program.parent.mkdir()
    program.write_text(
        textwrap.dedent(f"""
            from django.conf import settings
            settings.configure(BASE_DIR={str(project)!r})
        """)
        + PUBLISH
    )

    assert taken(publish_from(Path("/"), str(program)))


def test_where_nobody_serves_the_error_names_the_folder_that_the_publisher_runs_in(project):
    done = publish_from(project / "jobs", "-c", PUBLISH)

    assert done.returncode == 1
    assert f"(this is {project}/jobs)" in done.stderr
