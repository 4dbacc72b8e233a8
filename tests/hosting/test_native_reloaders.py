"""WebSockets under `flask run`, and under the reloaders of Werkzeug's server and of Django's."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import select
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

# An interrupt in the reloader's own code leaves it without its child, or amid a walk of folders:
# Python says so when it collects what was left open.
LEFT_OPEN = re.compile(
    r"Exception ignored .*\n(?:Traceback .*\n)?(?: .*\n)*"
    r"ResourceWarning: (?:subprocess \d+ is still running|unclosed scandir iterator .*)\n"
)

pytestmark = pytest.mark.deadline(60)


@contextlib.contextmanager
def flask_run(folder: Path, *options: str) -> Iterator[Server]:
    """Run `flask run` of a copy of the page, in `folder`."""
    shutil.copy(APPS / "flask_page.py", folder)
    command = [*servers.PYTHON, "-m", "flask", "--app", "flask_page", "run", "--port", "0"]
    with native_hosts.running([*command, *options], folder, folder / "log", PATH) as server:
        yield server


@contextlib.contextmanager
def reloading(kind: str, folder: Path) -> Iterator[Server]:
    """Serve a copy of the page in `folder`, by a server with a reloader."""
    shutil.copy(APPS / "flask_page.py", folder)
    with native_hosts.serving(
        kind, "flask_page:app", folder / "log", folder=folder, env=PATH
    ) as server:
        yield server


def change_until_noticed(path: Path, old: str, new: str, client: RawClient) -> None:
    """Change a file until a client hears of it: a reloader notes a new module's time late."""
    path.write_text(path.read_text().replace(old, new))
    for seconds in itertools.count(2):
        os.utime(path, 2 * (time.time() + seconds,))
        if select.select([client.socket], [], [], 0.5)[0]:
            return


def come_back(server: Server) -> RawClient:
    """Connect again, as a page does: until it works."""
    while True:  # until the deadline of the test
        *_, port = servers.ADDRESS.findall(server.log)
        server.address = (servers.LOOPBACK, int(port))
        try:
            return RawClient.open(server.address, "/ws/version")
        except (OSError, AssertionError):  # nobody listens; or who does is about to stop, a 503
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


@pytest.mark.parametrize("kind", ["werkzeug_reloader", "django_reloader"])
def test_a_changed_file_is_served_by_a_new_process_and_clients_come_back(tmp_path, kind):
    with reloading(kind, tmp_path) as server:
        with come_back(server) as client:
            assert client.read_text() == "first"
            change_until_noticed(tmp_path / "flask_page.py", '"first"', '"second"', client)

            assert client.read_close() == 1001
            client.send_close(1001)
            assert client.read_to_end() == b""
        server.wait_for_log("closed with 1001")
        with come_back(server) as client:
            assert client.read_text() == "second"
        assert "Traceback" not in server.log


@pytest.mark.parametrize("kind", ["werkzeug_reloader", "django_reloader"])
def test_a_ctrl_c_in_the_terminal_is_heard_by_both_processes(tmp_path, kind):
    with reloading(kind, tmp_path) as server, come_back(server) as client:
        assert client.read_text() == "first"
        os.killpg(server.pid, signal.SIGINT)

        assert client.read_close() == 1001
        client.send_close(1001)
        server.process.wait(servers.STOP_S)
        assert "Traceback" not in LEFT_OPEN.sub("", server.log)
