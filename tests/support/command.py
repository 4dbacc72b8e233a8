"""Runs the command line as a user does: in a process and a folder of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support import servers

RUN_S = 20.0
PATH = {"PYTHONPATH": str(servers.ROOT)}  # for a package that is not installed


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `tina4-wsgi ARGUMENTS` to its end."""
    command = [sys.executable, "-W", "error", "-m", "tina4_wsgi", *arguments]
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **PATH},
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )


@contextlib.contextmanager
def serving(folder: Path, target: str | None = None, *options: str) -> Iterator[servers.Server]:
    """Run `tina4-wsgi serve TARGET` on a free port until the block ends; its log is
    folder/server.log.
    """
    with servers.own(target, folder, folder / "server.log", *options, env=PATH) as server:
        yield server


def ask_unix_socket(path: Path) -> bytes:
    """Get the page at / from a server that listens on a UNIX socket; gives the whole answer."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(RUN_S)
        client.connect(str(path))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with client.makefile("rb") as answer:
            return answer.read()


@contextlib.contextmanager
def launched(
    folder: Path,
    *options: str,
    banner_lines: int = 3,
    program: Sequence[str] = ("-m", "tina4_wsgi"),
    stderr: int | None = None,
    log: Path | None = None,
) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Run `tina4-wsgi serve OPTIONS` and give the process with its banner; it is ended with the
    block.

    Args:
        stderr: a descriptor to print to.
        log: a file instead.
    """
    command = [sys.executable, *program, "serve", *options]
    with contextlib.ExitStack() as stack:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **PATH},
            stdout=subprocess.PIPE,
            stderr=stderr if log is None else stack.enter_context(log.open("wb")),
            text=True,
        )
    with process:
        assert process.stdout is not None
        try:
            yield process, [process.stdout.readline().rstrip("\n") for _ in range(banner_lines)]
            process.terminate()
            process.wait(RUN_S)
        finally:
            process.kill()
