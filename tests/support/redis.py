"""A real Redis in a process of its own, on a free port, and the things that may happen to it."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

READY_S = 10.0
POLL_S = 0.02


class RedisServer:
    """One redis-server; may be stopped and started again on the same port.

    Attributes:
        port: on loopback.
        folder: where its log goes; it saves nothing.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = free_port()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"redis://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def talking(self) -> Iterator[Any]:  # Any: redis-py's commands may answer anything
        """Give a client for the test's own questions."""
        with redis.Redis(port=self.port, socket_timeout=READY_S, decode_responses=True) as client:
            yield client

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [
            "redis-server",
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        command += ["--dir", str(self.folder), "--daemonize", "no", *self._options]
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        give_up_at = time.monotonic() + READY_S
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), READY_S) as sock:
                    sock.sendall(b"PING\r\n")
                    assert sock.recv(100)  # also an error is an answer
                    return
            except OSError:
                assert self._process.poll() is None, (self.folder / "redis.log").read_text()
                assert time.monotonic() < give_up_at, "redis-server doesn't answer"
                time.sleep(POLL_S)

    def stop(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(READY_S)
            self._process = None

    def freeze(self) -> None:
        """Have it accept, and never answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def running(folder: Path, *options: str) -> Iterator[RedisServer]:
    """Run a redis-server until the block ends."""
    server = RedisServer(folder, *options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """Give a port that nobody has: Redis takes no socket from us, and its port 0 means none."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[tuple[RedisServer, RedisServer]]:
    """Run a Redis Cluster of two nodes until the block ends; each has half of the slots."""
    with contextlib.ExitStack() as stack:
        nodes, bus_ports = [], []
        for name in ("a", "b"):
            (folder / name).mkdir()
            bus_ports.append(free_port())
            options = ["--cluster-enabled", "yes", "--cluster-port", str(bus_ports[-1])]
            nodes.append(stack.enter_context(running(folder / name, *options)))
        first, second = nodes
        _command(first, "CLUSTER", "ADDSLOTSRANGE", 0, 8_191)
        _command(second, "CLUSTER", "ADDSLOTSRANGE", 8_192, 16_383)
        _command(first, "CLUSTER", "MEET", "127.0.0.1", second.port, bus_ports[1])
        give_up_at = time.monotonic() + READY_S
        while not all(
            "cluster_state:ok" in str(_command(node, "CLUSTER", "INFO")) for node in nodes
        ):
            assert time.monotonic() < give_up_at, "the cluster doesn't come together"
            time.sleep(POLL_S)
        yield first, second


def _command(server: RedisServer, *command: object) -> object:
    with redis.Redis(port=server.port, socket_timeout=READY_S) as client:
        connection = client.connection_pool.connection_class(
            **client.connection_pool.connection_kwargs
        )
        try:
            connection.send_command(*command)
            return connection.read_response()
        finally:
            connection.disconnect()
