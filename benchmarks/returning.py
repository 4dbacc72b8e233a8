"""What it costs the server when clients come back to a path that keeps history.

    python -m benchmarks.returning --clients 10000 --missed 20 --rounds 3

Server CPU for each connection, in turns: a newcomer on a path without history, a newcomer who asks
for marks, and a client that has missed so many messages of 64 bytes. CPU time is the kernel's own
count. One worker of gunicorn's with gevent; clients come in batches, and each has read all that it
missed before its batch ends. Beside it the memory that an idle client takes, with marks and
without.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import json
import os
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .backplane import cpu_ns

APPS = Path(__file__).parent / "peers"
READY_S = 20.0
BATCH = 200
ME = "bench-client"


@contextlib.contextmanager
def server() -> Iterator[tuple[int, int]]:
    """Run our app with one worker; gives its port, and the worker's pid."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        command = (sys.executable, "-m", "gunicorn", "-k", "gevent", "-b", "127.0.0.1:0")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, "tina4_app:app"],
                cwd=APPS,
                env={**os.environ, "TINA4_WS_BUS_DIR": f"{folder}/bus"},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            yield int(_find(log, r"127\.0\.0\.1:(\d+)")), int(_find(log, r"with pid: (\d+)"))
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _find(log: Path, pattern: str) -> str:
    give_up_at_s = time.monotonic() + READY_S
    while time.monotonic() < give_up_at_s:
        found = re.search(pattern, log.read_text())
        if found:
            return found[1]
        time.sleep(0.02)
    raise SystemExit(f"the server did not start:\n{log.read_text()}")


def ask(port: int, path: str) -> dict[str, Any]:  # Any: whatever the JSON holds
    """Ask the app for a JSON document."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=READY_S)) as one:
        one.request("GET", path)
        return json.loads(one.getresponse().read())  # type: ignore[no-any-return]


def come(port: int, path: str, end: bytes) -> socket.socket:
    """Connect, and read until something has come."""
    sock = socket.create_connection(("127.0.0.1", port), READY_S)
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    received = b""
    while end not in received:
        data = sock.recv(65_536)
        if not data:
            raise SystemExit(f"the server closed behind {received!r}")
        received += data
    return sock


def visit(port: int, pid: int, path: str, end: bytes, clients: int) -> tuple[float, float]:
    """Return the CPU in microseconds, and the bytes of memory, that each client took."""
    memory, before, found = _memory_bytes(pid), cpu_ns(pid), []
    for _ in range(clients):
        found.append(come(port, path, end))
    spent = (cpu_ns(pid) - before) / 1_000 / clients
    taken = (_memory_bytes(pid) - memory) / clients
    for sock in found:
        sock.close()
    while ask(port, "/stats")["open"]:
        time.sleep(0.05)
    return spent, taken


def _memory_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Measure, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--missed", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with server() as (port, pid):
        was = ask(port, "/position/bench")["position"]
        ask(port, f"/say/bench/{options.missed}")
        marked = f"/ws/kept/bench?tina4=1.{ME}"
        ways = {
            "newcomer, no history": ("/ws/chat/bench", b"\r\n\r\n"),
            "newcomer, history and marks": (marked, b"#"),
            f"came back, {options.missed} missed": (f"{marked}.{was}", b"#"),
        }
        visit(port, pid, *ways["newcomer, no history"], BATCH)
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(options.rounds):
            for name, way in ways.items():
                found[name].append(visit(port, pid, *way, options.clients))

    for name, figures in found.items():
        spent, taken = (statistics.median(column) for column in zip(*figures, strict=True))
        print(f"{name:32s} {spent:8.1f} µs of CPU, {taken:8.0f} bytes while it stays")


if __name__ == "__main__":
    main()
