"""Runs one server on its processor, from the moment it answers until the block ends."""

from __future__ import annotations

import base64
import contextlib
import functools
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import machine
from .peers import CERTIFICATE, DEFLATE, FOLDER, PLAIN, PROTOTYPE, ROOT, SOCKET_IO, TLS, Peer
from .setting_up import Kit

HOST = "127.0.0.1"
ADDRESS = re.compile(r"https?://127\.0\.0\.1:(\d+)")
READY_S = 30.0
POLL_S = 0.02
END_S = 10.0


class ServerError(Exception):
    """A server did not start, or doesn't answer as it should; the text says why."""


@dataclass(frozen=True)
class Server:
    """A server that answers.

    Attributes:
        port: where, on 127.0.0.1.
        pids: its processes; under gunicorn the master comes first.
    """

    peer: Peer
    port: int
    pids: tuple[int, ...]

    @property
    def worker_pid(self) -> int:
        """The process that holds the connections."""
        return self.pids[-1]


@contextlib.contextmanager
def running(peer: Peer, kit: Kit, cpu: int, mode: str = PLAIN) -> Iterator[Server]:
    """Run a server, pinned to `cpu`; at the end it is killed, with all that it started.

    Args:
        mode: what its WebSockets are besides plain, one of `peer.modes`.
    Raises:
        ServerError: it doesn't answer within 30 s.
    """
    folder = Path(tempfile.mkdtemp(prefix="tina4-bench-"))
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*_pinned_to(cpu), *_command(peer, kit, mode)],
            cwd=FOLDER,
            env=_environment(peer, kit, folder, mode),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        port = _wait_for_port(process, log)
        _wait_for_answer(peer, port, log, mode)
        yield Server(peer, port, tuple(machine.family(process.pid)))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a session of its own: nobody else's processes
        process.wait(END_S)
        shutil.rmtree(folder, ignore_errors=True)


def pinned_command(cpu: int, *command: str) -> list[str]:
    """Put before a command what keeps it on one processor."""
    return [*_pinned_to(cpu), *command]


def _pinned_to(cpu: int) -> list[str]:
    return ["taskset", "--cpu-list", str(cpu)] if shutil.which("taskset") else []


def _command(peer: Peer, kit: Kit, mode: str) -> list[str]:
    python, pem = str(kit.python), str(CERTIFICATE)
    match peer.program:
        case "gunicorn":
            gunicorn = [python, "-m", "gunicorn", "-k", "gevent", "-w", "1", "--bind", f"{HOST}:0"]
            secret = ["--certfile", pem, "--keyfile", pem] if mode == TLS else []
            return [*gunicorn, *secret, *_quiet_control(python), *peer.options, peer.target]
        case "tina4":
            serve = [python, "-m", "tina4_wsgi", "serve", peer.target, "--host", HOST]
            secret = ["--certfile", pem] if mode == TLS else []
            return [*serve, "--port", "0", *secret, *peer.options]
        case "node":
            return ["node", peer.target]
        case _:
            return [python, peer.target]


@functools.cache
def _quiet_control(python: str) -> tuple[str, ...]:
    """Stop gunicorn 27 and later from opening one control socket per user, which two servers can't
    share.
    """
    usage = subprocess.run(
        [python, "-m", "gunicorn", "--help"], capture_output=True, text=True, check=True
    ).stdout
    return ("--no-control-socket",) if "--no-control-socket" in usage else ()


def _environment(peer: Peer, kit: Kit, folder: Path, mode: str) -> dict[str, str]:
    """This process's own variables without settings of ours: defaults are measured."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TINA4_WS_")}
    kept |= {
        "PYTHONUNBUFFERED": "1",
        "TINA4_WS_BUS_DIR": str(folder / "bus"),
    }  # no other server's neighbour
    kept.pop("PYTHONPATH", None)
    if mode == TLS:
        kept["BENCH_TLS"] = str(CERTIFICATE)
    elif mode == DEFLATE:
        kept |= {"BENCH_DEFLATE": "1", "TINA4_WS_DEFLATE": "yes"}
    if peer.program == "node":
        kept["NODE_PATH"] = str(kit.node_folder(peer) / "node_modules")
    elif peer.key == "prototype":
        kept |= {"PYTHONPATH": str(PROTOTYPE), "PYTHONDONTWRITEBYTECODE": "1"}
    elif not kit.has_ours_installed:
        kept["PYTHONPATH"] = str(ROOT)
    return kept


def _wait_for_port(process: subprocess.Popen[bytes], log: Path) -> int:
    give_up_at = time.monotonic() + READY_S
    while time.monotonic() < give_up_at and process.poll() is None:
        found = ADDRESS.search(log.read_text(errors="replace"))
        if found:
            return int(found[1])
        time.sleep(POLL_S)
    raise ServerError(f"it did not start: {_last_word(log)}")


def _wait_for_answer(peer: Peer, port: int, log: Path, mode: str) -> None:
    """Make one request, which the kernel keeps until the server takes it."""
    path, status = ("/ws/echo", b" 101 ") if peer.has_websocket else ("/hello/world", b" 200 ")
    if peer.speaks_socket_io:
        path = SOCKET_IO + path
    answer = b""
    with (
        contextlib.suppress(OSError),
        socket.create_connection((HOST, port), READY_S) as plain,
        _tls_over(plain) if mode == TLS else plain as asker,
    ):
        asker.sendall(request_head(path, port, upgrade=peer.has_websocket))
        answer = asker.recv(4_096)
    if status not in answer[:20]:
        raise ServerError(f"GET {path} was answered {answer[:40]!r}: {_last_word(log)}")


def _tls_over(plain: socket.socket) -> socket.socket:
    """Speak TLS with a server on loopback, whose certificate needs no check."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain)


def request_head(path: str, port: int, *, upgrade: bool) -> bytes:
    """Lay out a request, to upgrade or to be closed after."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {HOST}:{port}"]
    if upgrade:
        key = base64.b64encode(os.urandom(16)).decode()
        lines += [
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
        ]
    else:
        lines += ["Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode()


def _last_word(log: Path) -> str:
    """The last error that a server named, or what else it said last."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return (errors or lines or ["it said nothing"])[-1]
