"""WebSockets under `flask run` and `manage.py runserver`, whose reloaders restart the process."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import native_hosts, servers
from tests.support.native_hosts import APPS, get
from tests.support.raw import RawClient
from tests.support.servers import POLL_S, Server

PATH = {"PYTHONPATH": str(servers.ROOT), "PYTHONDONTWRITEBYTECODE": "1"}

pytestmark = pytest.mark.deadline(60)


@contextlib.contextmanager
def flask_run(folder: Path, *options: str) -> Iterator[Server]:
    """Run `flask run` of a copy of the page, in `folder`."""
    shutil.copy(APPS / "flask_page.py", folder)
    command = [*servers.PYTHON, "-m", "flask", "--app", "flask_page", "run", "--port", "0"]
    with native_hosts.running([*command, *options], folder, folder / "log", PATH) as server:
        yield server


@contextlib.contextmanager
def runserver(folder: Path) -> Iterator[Server]:
    """Run Django's `runserver` with its reloader."""
    shutil.copy(APPS / "flask_page.py", folder)
    with native_hosts.serving(
        "django_reloader", "flask_page:app", folder / "log", folder=folder, env=PATH
    ) as server:
        yield server


def change(path: Path, old: str, new: str) -> None:
    """Change a file, with a time of change that differs also where clocks are coarse."""
    path.write_text(path.read_text().replace(old, new))
    later = time.time() + 2
    os.utime(path, (later, later))


def come_back(server: Server) -> RawClient:
    """Connect again, as a page does: until it works."""
    while True:  # until the deadline of the test
        *_, port = servers.ADDRESS.findall(server.log)
        server.address = (servers.LOOPBACK, int(port))
        try:
            return RawClient.open(server.address, "/ws/version")
        except OSError:
            time.sleep(POLL_S)


@pytest.mark.parametrize("options", [[], ["--without-threads"], ["--debug", "--no-reload"]])
def test_flask_run_serves_pages_and_websockets_and_says_goodbye(tmp_path, options):
    with flask_run(tmp_path, *options) as server:
        assert get("flask", server, "/page") == (200, "first")
        with RawClient.open(server.address, "/ws/version") as client:
            assert client.read_text() == "first"
            assert get("flask", server, "/page") == (200, "first")
            server.process.send_signal(signal.SIGINT)

            assert client.read_close() == 1001
            client.send_close(1001)
        assert server.process.wait(servers.STOP_S) == 0
        assert "closed with 1001" in server.log
        assert "Traceback" not in server.log


@pytest.mark.parametrize("running", [flask_run, runserver])
def test_a_changed_file_is_served_by_a_new_process_and_clients_come_back(tmp_path, running):
    options = ["--debug"] if running is flask_run else []
    with running(tmp_path, *options) as server:
        with come_back(server) as client:
            assert client.read_text() == "first"
            change(tmp_path / "flask_page.py", '"first"', '"second"')

            assert client.read_close() == 1001
            client.send_close(1001)
            assert client.read_to_end() == b""
        server.wait_for_log("closed with 1001")
        with come_back(server) as client:
            assert client.read_text() == "second"
        assert "Traceback" not in server.log


@pytest.mark.parametrize("running", [flask_run, runserver])
def test_a_ctrl_c_in_the_terminal_is_heard_by_both_processes(tmp_path, running):
    options = ["--debug"] if running is flask_run else []
    with running(tmp_path, *options) as server, come_back(server) as client:
        assert client.read_text() == "first"
        os.killpg(server.pid, signal.SIGINT)

        assert client.read_close() == 1001
        client.send_close(1001)
        server.process.wait(servers.STOP_S)
        assert "Traceback" not in server.log
