"""Our own server under Bottle's name "tina4", from `bottle.run()` and from `bottle.py`."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.framework_site import APPS
from tests.support.raw import RawClient
from tests.support.servers import LOOPBACK, Server

RUNNING = r"HTTP server running at http://127\.0\.0\.1:(\d+)"
UNPATCHED = "import bottle, tina4_wsgi.contrib.bottle; bottle.run(server='tina4', port=0)"
BOTTLE = ["-m", "bottle", "--bind", f"{LOOPBACK}:0"]
COMMANDS = {
    "run": ["bottle_program.py"],
    "run wrapped": ["bottle_program.py", "wrapped"],
    "bottle.py": [*BOTTLE, "--server", "tina4", "bottle_program"],
    "bottle.py by the class": [
        *BOTTLE,
        "--server",
        "tina4_wsgi.contrib.bottle:Tina4Server",
        "bottle_program",
    ],
}


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(servers.ROOT), str(APPS)])}


@contextlib.contextmanager
def running(arguments: list[str], folder: Path, working_folder: Path = APPS) -> Iterator[Server]:
    log_path = folder / "log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [*servers.PYTHON, *arguments],
            cwd=working_folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(process, (LOOPBACK, 0), log_path)
    try:
        server.address = (LOOPBACK, int(server.wait_for_log(RUNNING)[1]))
        yield server
    finally:
        server.end()


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_it_serves_http_and_websockets_each_with_its_own_request(arguments, tmp_path):
    def get(name: str) -> str:
        with urllib.request.urlopen(f"{server.url}/slow/{name}", timeout=10) as answer:
            return str(answer.read().decode())

    with (
        running(arguments, tmp_path) as server,
        RawClient.open(server.address, "/ws/echo/one") as one,
        RawClient.open(server.address, "/ws/echo/two") as two,
        ThreadPoolExecutor() as pool,
    ):
        one.send_text("1")
        two.send_text("2")
        pages = list(pool.map(get, "ab"))

        assert (one.read_text(), two.read_text()) == ("/ws/echo/one 1", "/ws/echo/two 2")
        assert pages == ["a /slow/a", "b /slow/b"]


def test_a_signal_says_goodbye_and_ends_it_with_0(tmp_path):
    with (
        running(COMMANDS["run"], tmp_path) as server,
        RawClient.open(server.address, "/ws/echo/x") as client,
    ):
        client.send_text("1")
        client.read_text()

        server.process.terminate()

        assert client.read_close() == 1001
        client.send_close(1001)
        assert server.process.wait(servers.STOP_S) == 0
        assert "closed" in server.log


@pytest.mark.parametrize("how", ["bottle.py", "run"])
def test_it_starts_again_when_a_file_changes(tmp_path, how):
    program = tmp_path / "edited.py"
    text = (
        (APPS / "bottle_program.py")
        .read_text()
        .replace("port=0", "port=0, reloader=True, interval=0.1")
    )
    program.write_text(text)
    by_name = [*BOTTLE, "--server", "tina4", "--reload", "edited"]

    with running(by_name if how == "bottle.py" else ["edited.py"], tmp_path, tmp_path) as server:
        program.write_text(f"{text}\n# another line\n")

        server.wait_for_log(rf"(?s){RUNNING}.*{RUNNING}")


def test_a_process_that_gevent_has_not_patched_is_told_how():
    done = subprocess.run(
        [sys.executable, "-c", UNPATCHED],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert done.returncode == 1
    assert re.search(
        "ConfigError: gevent hasn't patched this process.*monkey.patch_all", done.stderr
    )
