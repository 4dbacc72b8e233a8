"""The services whose clients are disturbed: our app under gunicorn, and Socket.IO.

Each may be stopped, killed and started again, and keeps its port.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.support import servers

from ..disturber import workers_of
from . import packages

SITE = Path(__file__).parents[1] / "site"
NODE = Path(__file__).with_name("node")


class Service:
    """One service, life after life.

    Attributes:
        address: where it listens, in all its lives.
        is_up: whether it has been started and not been stopped since.
    """

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder = folder
        self.workers = workers
        self.address = (servers.LOOPBACK, 0)
        self.is_up = False
        self._server: servers.Server | None = None
        self._life = contextlib.ExitStack()
        self._life_count = 0

    def start(self) -> None:
        """Start it, at the port of its first life."""
        self._life_count += 1
        log_path = self.folder / f"service-{self._life_count}.log"
        self._server = self._life.enter_context(self._serve(log_path))
        self.address = self._server.address
        self.is_up = True

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it gracefully, or with SIGKILL kill all of its processes at once."""
        self.is_up = False
        if how == signal.SIGKILL and self._server is not None:
            self._server.kill()
        self._life.close()
        self._server = None

    def signal_master(self, number: signal.Signals) -> None:
        """Send a signal to the main process."""
        os.kill(self._running().pid, number)

    def list_workers(self) -> list[int]:
        """Return the processes that serve."""
        return workers_of(self._running().pid)

    def publish(self, room: str, text: str) -> bool:
        """Say something from outside, and return whether that was taken."""
        return False

    def close(self) -> None:
        """End all that it has started, at once.

        A worker that gunicorn has just forked may not hear of a graceful stop, which then takes
        half a minute.
        """
        self.stop(signal.SIGKILL)

    def _running(self) -> servers.Server:
        assert self._server is not None, "it isn't running"
        return self._server

    def _serve(self, log_path: Path) -> contextlib.AbstractContextManager[servers.Server]:
        raise NotImplementedError


class Gunicorn(Service):
    """Our app under `gunicorn -k gevent`, and a publisher beside it."""

    def __init__(self, folder: Path, workers: int, env: dict[str, str]) -> None:
        super().__init__(folder, workers)
        self._env = {
            "PYTHONPATH": os.pathsep.join([str(servers.ROOT), str(SITE)]),
            "TINA4_WS_DRAIN_SPREAD_S": "1",
            "TINA4_WS_RETRY_SPREAD_S": "1",
            **env,
        }
        self._publisher: subprocess.Popen[str] | None = None
        self._publishing = threading.Lock()

    def publish(self, room: str, text: str) -> bool:
        """Say something from outside, one at a time."""
        with self._publishing:
            self._publisher = self._publisher or self._start_publisher()
            assert self._publisher.stdin is not None
            assert self._publisher.stdout is not None
            self._publisher.stdin.write(f"{room} {text}\n")
            self._publisher.stdin.flush()
            return self._publisher.stdout.readline() == "said\n"

    def close(self) -> None:
        """End the publisher, too."""
        super().close()
        if self._publisher is not None:
            self._publisher.kill()
            self._publisher.communicate()

    def _start_publisher(self) -> subprocess.Popen[str]:
        with (self.folder / "publisher.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "outside.py"],
                cwd=SITE,
                env={**os.environ, **self._env},
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def _serve(self, log_path: Path) -> contextlib.AbstractContextManager[servers.Server]:
        return servers.gunicorn(
            "rooms_app:app",
            SITE,
            log_path,
            "--workers",
            str(self.workers),
            port=self.address[1],
            env=self._env,
        )


class SocketIo(Service):
    """Socket.IO: one process, or several with Redis Streams."""

    def __init__(self, folder: Path, workers: int, redis_url: str = "") -> None:
        super().__init__(folder, workers)
        self._redis_url = redis_url

    @contextlib.contextmanager
    def _serve(self, log_path: Path) -> Iterator[servers.Server]:
        env = {
            "NODE_PATH": str(packages.FOLDER / "node_modules"),
            "CHAOS_PORT": str(self.address[1]),
            "CHAOS_WORKERS": str(self.workers),
            "CHAOS_REDIS": self._redis_url,
        }
        process = servers.start(["node", "socketio_server.cjs"], NODE, log_path, env)
        server = servers.Server(process, self.address, log_path)
        with servers.until_the_end(server):
            found = server.wait_for_log(servers.ADDRESS.pattern)
            server.address = (servers.LOOPBACK, int(found[1]))
            yield server
