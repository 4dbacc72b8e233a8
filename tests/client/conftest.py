"""A site with the browser client, and a browser that visits it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from tests.examples.browser import chromium, eventually
from tests.support import servers
from tests.support.servers import Server

APPS = Path(__file__).resolve().parent / "apps"
PATIENCE_S = 30.0


class Visit:
    """A window with the client in it; `run` is its console."""

    def __init__(self, driver: WebDriver, url: str) -> None:
        driver.switch_to.new_window("tab")
        self.driver = driver
        driver.get(url)

    def run(self, script: str, *values: object) -> Any:  # Any: what the script returns
        """Run a script in the page and give what it returns."""
        return self.driver.execute_script(script, *values)

    def wait_for(self, condition: str, patience_s: float = PATIENCE_S) -> None:
        """Wait until an expression is true in the page."""
        eventually(lambda: self.run(f"return !!({condition})"), condition, patience_s)

    def protocol(self, command: str, **parameters: object) -> None:
        """Give a command of the DevTools protocol."""
        self.driver.execute_cdp_cmd(command, parameters)

    def go_offline(self, is_offline: bool) -> None:
        """Switch airplane mode on or off."""
        self.protocol("Network.enable")  # without it only `navigator.onLine` changes
        speed = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.protocol("Network.emulateNetworkConditions", offline=is_offline, **speed)


class Lives:
    """The site served by one process after the other, each of which begins at once and is killed;
    see apps/lives.py.
    """

    def __init__(self, keeper: subprocess.Popen[str]) -> None:
        self._keeper = keeper
        self.port = 0

    @contextlib.contextmanager
    def one(self) -> Iterator[str]:
        """Serve at the port of the first time until the block ends, and give the address."""
        pid, port = map(int, self._order(f"{self.port}\n").split())
        self.port = port
        yield f"http://{servers.LOOPBACK}:{port}"
        os.kill(pid, signal.SIGKILL)
        assert self._order() == "it is dead\n"

    def _order(self, order: str = "") -> str:
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        self._keeper.stdin.write(order)
        self._keeper.stdin.flush()
        return self._keeper.stdout.readline()


class Place:
    """Where the site is served: at one port, by one process after the other."""

    def __init__(self, folder: Path) -> None:
        self.journal = folder / "journal"
        self.users = folder / "users"
        self.users.write_text("ada")
        self._folder = folder
        self._port = "0"

    @contextlib.contextmanager
    def serve(self, target: str = "visited:app") -> Iterator[Server]:
        """Serve the site, at the port of the first time."""
        with servers.own(
            target, APPS, self._folder / "log", "--port", self._port, env=self._env
        ) as server:
            self._port = str(server.address[1])
            yield server

    @contextlib.contextmanager
    def lives(self) -> Iterator[Lives]:
        """Make ready to serve the site many times."""
        command = [*servers.PYTHON, "lives.py"]
        with subprocess.Popen(
            command,
            cwd=APPS,
            env={**os.environ, **self._env},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as keeper:
            try:
                yield Lives(keeper)
            finally:
                os.killpg(keeper.pid, signal.SIGKILL)  # with the life that a failure leaves

    @property
    def _env(self) -> dict[str, str]:
        return {
            "PYTHONPATH": str(servers.ROOT),
            "JOURNAL": str(self.journal),
            "USERS": str(self.users),
            "TINA4_WS_HISTORY_DIR": str(self._folder / "history"),
        }

    def publish(self, path: str, text: str) -> None:
        """Say something to a path from a process of its own, whether or not anybody serves."""
        command = [*servers.PYTHON, "-m", "tina4_wsgi", "publish", path, text]
        subprocess.run(
            command, cwd=APPS, env={**os.environ, **self._env}, check=True, timeout=PATIENCE_S
        )

    @property
    def said(self) -> list[str]:
        """What the servers heard, in order."""
        return self.journal.read_text().splitlines()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture(scope="session")
def driver() -> Iterator[WebDriver]:
    """One browser for all tests."""
    with chromium() as started:
        yield started


@pytest.fixture
def visit(driver: WebDriver) -> Iterator[Callable[[str], Visit]]:
    """Open addresses in windows, which are closed at the end."""
    first = driver.current_window_handle
    yield lambda url: Visit(driver, url)
    for window in driver.window_handles:
        if window != first:
            driver.switch_to.window(window)
            driver.close()
    driver.switch_to.window(first)
