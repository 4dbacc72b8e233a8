"""Servers in processes of their own, on a port that the kernel chose, ended by their pid.

Each binds port 0 itself and prints where it listens, so no port is guessed and none is lost in
between.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IMPORTED_BY_PYRAMID = (  # and by WebOb, of which it is made
    "ignore:'cgi' is deprecated:DeprecationWarning",
    "ignore:pkg_resources is deprecated:UserWarning",
    "ignore:Deprecated call to `pkg_resources:DeprecationWarning",
)
BY_FLASK_LOGIN = "ignore:datetime.datetime.utcnow() is deprecated:DeprecationWarning"
WARNINGS = ("error", *IMPORTED_BY_PYRAMID, BY_FLASK_LOGIN)  # a warning ends a server here, too
PYTHON = (sys.executable, *(word for what in WARNINGS for word in ("-W", what)))
LOOPBACK = "127.0.0.1"
READY_S = 20.0
STOP_S = 20.0  # longer than the default drain time of 10 s
POLL_S = 0.02
ADDRESS = re.compile(r"https?://127\.0\.0\.1:(\d+)")  # in our banner, and in gunicorn's log


class Server:
    """One running server.

    Attributes:
        process: its main process.
        address: where it listens.
        log_path: the file that holds all it printed.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], address: tuple[str, int], log_path: Path
    ) -> None:
        self.process = process
        self.address = address
        self.log_path = log_path

    @property
    def pid(self) -> int:
        """The main process; under gunicorn the master."""
        return self.process.pid

    @property
    def url(self) -> str:
        """The address as a page knows it, without a slash at the end."""
        return f"http://{self.address[0]}:{self.address[1]}"

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return self.log_path.read_text(errors="replace")

    def wait_for_log(self, pattern: str, timeout_s: float = READY_S) -> re.Match[str]:
        """Wait until the log has what the regular expression `pattern` finds."""
        give_up_at = time.monotonic() + timeout_s
        while time.monotonic() < give_up_at:
            found = re.search(pattern, self.log)
            if found:
                return found
            if self.process.poll() is not None:
                break
            time.sleep(POLL_S)
        raise AssertionError(
            f"{pattern!r} is not in the log (exit code {self.process.poll()}):\n{self.log}"
        )

    def stop(self, how: signal.Signals = signal.SIGTERM, timeout_s: float = STOP_S) -> int:
        """End it with a signal to its main process and give the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"still running {timeout_s:g} s after {how.name}:\n{self.log}"
            ) from None

    def end(self) -> None:
        """End it where how it ends doesn't matter: at once, or gracefully for what it covered to be
        written down.
        """
        if "COVERAGE_PROCESS_CONFIG" in os.environ:
            with contextlib.suppress(AssertionError):
                self.stop()
        self.kill()

    def kill(self) -> None:
        """End it and every process it started, at once. They are a session of their own."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(STOP_S)


@contextlib.contextmanager
def gunicorn(
    target: str,
    folder: Path,
    log_path: Path,
    *options: str,
    worker_class: str = "gevent",
    port: int = 0,
    env: Mapping[str, str] | None = None,
    python: Sequence[str] = PYTHON,
) -> Iterator[Server]:
    """Run `gunicorn -k gevent TARGET` in `folder` until the block ends.

    Args:
        target: the app, as "wsgi:app".
        options: further options, as "--preload".
        port: one that it has had before, for a restart.
        env: variables laid over this process's own.
        python: the interpreter and its options.
    """
    command = [*python, "-m", "gunicorn", "-k", worker_class, "--bind", f"{LOOPBACK}:{port}"]
    process = start([*command, *quiet_control(python[0]), *options, target], folder, log_path, env)
    with until_the_end(Server(process, (LOOPBACK, 0), log_path)) as server:
        server.address = (LOOPBACK, int(server.wait_for_log(ADDRESS.pattern)[1]))
        server.wait_for_log(r"Booting worker")
        yield server


@contextlib.contextmanager
def own(
    target: str | None,
    folder: Path,
    log_path: Path,
    *options: str,
    env: Mapping[str, str] | None = None,
    python: Sequence[str] = PYTHON,
) -> Iterator[Server]:
    """Run `tina4-wsgi serve TARGET` in `folder` until the block ends; without a target,
    `wsgi:app`.
    """
    command = [*python, "-m", "tina4_wsgi", "serve", *([target] if target else [])]
    command += ["--host", LOOPBACK, "--port", "0", *options]
    process = start(command, folder, log_path, env)
    with until_the_end(Server(process, (LOOPBACK, 0), log_path)) as server:
        server.address = (LOOPBACK, int(server.wait_for_log(ADDRESS.pattern)[1]))
        yield server


def wait_until_answering(server: Server, path: str = "/", timeout_s: float = READY_S) -> None:
    """Wait for the first byte of an answer to `GET path`: the app is loaded by then."""
    with socket.create_connection(server.address, timeout_s) as asker:
        asker.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}\r\nConnection: close\r\n\r\n".encode()
        )
        assert asker.recv(1), f"no answer to GET {path}:\n{server.log}"


def start(
    command: Sequence[str],
    folder: Path,
    log_path: Path,
    env: Mapping[str, str] | None,
) -> subprocess.Popen[bytes]:
    """Start a process of its own session in `folder`; all it prints goes to `log_path`."""
    # One bus per server, with whatever else a test has: otherwise all would hear each other's
    # broadcasts.
    bus = {"TINA4_WS_BUS_DIR": str(log_path) + ".bus"}
    with log_path.open("wb") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **bus, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that `kill` reaches workers whose master is gone
        )


@contextlib.contextmanager
def until_the_end(server: Server) -> Iterator[Server]:
    """Stop a server with the block, and show its log when the block or the stop fails."""
    try:
        yield server
        server.stop()
    except BaseException:
        print(f"the server's log:\n{server.log}")  # pytest shows it with the failure
        raise
    finally:
        server.kill()


@functools.cache
def quiet_control(python: str) -> tuple[str, ...]:
    """The option that stops gunicorn 27 and later from opening one control socket per user, shared
    by all.
    """
    command = [python, "-m", "gunicorn", "--help"]
    usage = subprocess.run(
        command, capture_output=True, text=True, timeout=READY_S, check=True
    ).stdout
    return ("--no-control-socket",) if "--no-control-socket" in usage else ()
