"""What a broadcast costs beyond its own process: server CPU per broadcast, over the bus and over
Redis.

    python -m benchmarks.backplane --messages 20000 --rounds 3

Four workers with one client each: two in the room and two elsewhere, or all four in the room.
One in the room broadcasts 64 bytes, with so many outstanding; CPU time is the kernel's own count,
per process. Beside it one worker with one client in the room. Each figure is the median of the
rounds.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import os
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

APPS = Path(__file__).parent / "peers"
READY_S = 20.0
OUTSTANDING = (1, 32)
TEXT_BYTES = 64
PARTS = ("sender", "member", "other", "redis")


class Client:
    """One WebSocket client."""

    def __init__(self, port: int, path: str) -> None:
        self._buffer = b""
        while True:  # a worker that has its client refuses the next, and another takes it
            self._sock = socket.create_connection(("127.0.0.1", port), READY_S)
            key = base64.b64encode(os.urandom(16)).decode()
            self._sock.sendall(
                f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: "
                "Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            head = self._read_head()
            if b" 101 " in head:
                break
            self._sock.close()
            time.sleep(0.01)
        self.send("pid")
        self.pid = int(self.receive().split()[1])

    def _read_head(self) -> bytes:
        while b"\r\n\r\n" not in self._buffer:
            data = self._sock.recv(4_096)
            if not data:
                break
            self._buffer += data
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return head

    def send(self, text: str) -> None:
        """Send a short text, masked with zeros."""
        self._sock.sendall(bytes((0x81, 0x80 | len(text))) + bytes(4) + text.encode())

    def receive(self) -> str:
        """Receive one text; pings are left out."""
        while True:
            while len(self._buffer) < 2 or len(self._buffer) < 2 + self._buffer[1]:
                data = self._sock.recv(65_536)
                if not data:
                    raise ConnectionError("the server has closed")
                self._buffer += data
            first, end = self._buffer[0], 2 + self._buffer[1]
            payload, self._buffer = self._buffer[2:end], self._buffer[end:]
            if first == 0x81:
                return payload.decode()

    def close(self) -> None:
        """End it with a reset."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()


def cpu_ns(pid: int) -> int:
    """How long a process has run, all its threads together."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


@contextlib.contextmanager
def gunicorn(workers: int, env: dict[str, str]) -> Iterator[int]:
    """Run the hall; gives its port."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        variables = {
            **os.environ,
            "TINA4_WS_MAX_CONNECTIONS": "1",
            "TINA4_WS_BUS_DIR": f"{folder}/bus",
            **env,
        }
        command = [
            sys.executable,
            "-m",
            "gunicorn",
            "-k",
            "gevent",
            "-w",
            str(workers),
            "-b",
            "127.0.0.1:0",
        ]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, "hall:app"],
                cwd=APPS,
                env=variables,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            yield _port_in(log)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _port_in(log: Path) -> int:
    give_up_at_s = time.monotonic() + READY_S
    while time.monotonic() < give_up_at_s:
        found = re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text())
        if found:
            return int(found[1])
        time.sleep(0.05)
    raise SystemExit(f"gunicorn doesn't start:\n{log.read_text()}")


@contextlib.contextmanager
def redis_server() -> Iterator[tuple[int, str]]:
    """Run Redis; gives its pid and URL."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    command = [
        "redis-server",
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield process.pid, f"redis://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def broadcast(clients: list[Client], count: int, outstanding: int) -> None:
    """Have the first client broadcast; every client here must receive each before more follow."""
    sender = clients[0]
    text = "x" * TEXT_BYTES
    for _ in range(0, count, outstanding):
        for _ in range(outstanding):
            sender.send(text)
        for client in clients:
            for _ in range(outstanding):
                client.receive()


class Case(NamedTuple):
    """What is measured: so many workers, so many of them with a client in the room, by which
    way.
    """

    name: str
    workers: int
    members: int
    way: str


CASES = (
    Case("one worker", 1, 1, "local"),
    Case("4, bus", 4, 2, "local"),
    Case("4, Redis", 4, 2, "redis"),
    Case("4, Redis, all in the room", 4, 4, "redis"),
)


def measure(
    case: Case, env: dict[str, str], count: int, outstanding: int, redis_pid: int = 0
) -> dict[str, float]:
    """Give the microseconds per broadcast of each part."""
    with gunicorn(case.workers, env) as port:
        paths = [
            "/hall/a" if number < case.members else "/hall/b" for number in range(case.workers)
        ]
        clients = [Client(port, path) for path in paths]
        members = clients[: case.members]
        parts = {"sender": clients[0].pid}
        if case.members > 1:
            parts["member"] = clients[1].pid
        if case.members < case.workers:
            parts["other"] = clients[-1].pid
        if redis_pid:
            parts["redis"] = redis_pid
        broadcast(members, count // 10, outstanding)  # warm
        before = {name: cpu_ns(pid) for name, pid in parts.items()}
        broadcast(members, count, outstanding)
        found = {name: (cpu_ns(pid) - before[name]) / count / 1_000 for name, pid in parts.items()}
        for client in clients:
            client.close()
        return found


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--messages", type=int, default=20_000, help="broadcasts per figure (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--outstanding", type=int, nargs="*", default=OUTSTANDING)
    arguments = parser.parse_args()
    if shutil.which("redis-server") is None:
        raise SystemExit("redis-server is missing: apt-get install redis-server")
    print(
        "| µs of CPU per broadcast | outstanding | sender's worker | worker with a member | "
        "without | Redis |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    for outstanding in arguments.outstanding:
        for case in CASES:
            rounds = [
                _round(case, arguments.messages, outstanding) for _ in range(arguments.rounds)
            ]
            medians = {part: statistics.median(one[part] for one in rounds) for part in rounds[0]}
            columns = [f"{medians[part]:.1f}" if part in medians else "–" for part in PARTS]
            print(f"| {case.name} | {outstanding} | {' | '.join(columns)} |", flush=True)


def _round(case: Case, count: int, outstanding: int) -> dict[str, float]:
    if case.way == "local":
        return measure(case, {}, count, outstanding)
    with redis_server() as (pid, url):
        env = {"TINA4_WS_BACKPLANE": "redis", "TINA4_WS_BACKPLANE_URL": url}
        return measure(case, env, count, outstanding, pid)


if __name__ == "__main__":
    main()
