"""Servers that know nothing of gevent, in processes of their own that nothing is patched in."""

from __future__ import annotations

import contextlib
import functools
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support import servers
from tests.support.raw import RawClient
from tests.support.servers import LOOPBACK, ROOT, Server

APPS = ROOT / "tests" / "hosting" / "apps"
CERTIFICATE = ROOT / "tests" / "server" / "localhost.pem"
KINDS = (
    "werkzeug",
    "werkzeug_threads",
    "werkzeug_debugger",
    "werkzeug_tls",
    "wsgiref",
    "django",
    "django_without_threads",
    "waitress",
    "waitress_ahead",
    "waitress_2_1",
)
OLD_WAITRESS = "2.1.2"
INSTALL_S = 110.0


@functools.cache
def waitress_folder() -> str:
    """Give the folder to import an old waitress from, which is fetched once."""
    folder = ROOT / ".cache" / f"waitress-{OLD_WAITRESS}"
    if not (folder / "complete").exists():
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq", "install"]
        what = ["--no-deps", "--upgrade", "--target", str(folder), f"waitress=={OLD_WAITRESS}"]
        subprocess.run([*pip, *what], check=True, timeout=INSTALL_S)
        (folder / "complete").touch()
    return str(folder)


@contextlib.contextmanager
def serving(
    kind: str,
    target: str,
    log_path: Path,
    *,
    folder: Path = APPS,
    env: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Serve `target`, such as "plain:app" in `folder`, until the block ends."""
    # Without coverage, whose handler of SIGTERM goes before the default that these servers have.
    clean = ("env", "-u", "COVERAGE_PROCESS_CONFIG", "-u", "COVERAGE_PROCESS_START")
    command = [*clean, *servers.PYTHON, str(APPS / "serving.py"), kind, target]
    path = f"{waitress_folder()}{os.pathsep}{ROOT}" if kind == "waitress_2_1" else str(ROOT)
    with running(command, folder, log_path, {"PYTHONPATH": path, **(env or {})}) as server:
        yield server


@contextlib.contextmanager
def running(
    command: list[str], folder: Path, log_path: Path, env: Mapping[str, str]
) -> Iterator[Server]:
    """Run a command that prints where it serves, until the block ends."""
    process = servers.start(command, folder, log_path, env)
    server = Server(process, (LOOPBACK, 0), log_path)
    try:
        server.address = (LOOPBACK, int(server.wait_for_log(servers.ADDRESS.pattern)[1]))
        yield server
    except BaseException:
        print(f"the server's log:\n{server.log}")  # pytest shows it with the failure
        raise
    finally:
        server.kill()


def dial(kind: str, server: Server) -> RawClient:
    """Connect, over TLS where this kind of server wants it."""
    client = RawClient.dial(server.address)
    if kind != "werkzeug_tls":
        return client
    context = ssl.create_default_context(cafile=str(CERTIFICATE))
    return RawClient(context.wrap_socket(client.socket, server_hostname="localhost"))


def connect(kind: str, server: Server, path: str) -> RawClient:
    """Connect and upgrade."""
    client = dial(kind, server)
    try:
        client.upgrade(path)
    except BaseException:
        client.close()
        raise
    return client


def get(kind: str, server: Server, path: str, *fields: str) -> tuple[int, str]:
    """Ask for a page on a connection of its own; gives the status and the body."""
    with dial(kind, server) as client:
        lines = [f"GET {path} HTTP/1.1", f"Host: {LOOPBACK}", "Connection: close", *fields, "", ""]
        client.send_bytes("\r\n".join(lines).encode())
        status = client.read_head().status
        return status, client.read_to_end().decode()
