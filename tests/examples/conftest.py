"""The chapter's examples, served by our own server and by gunicorn; a browser for their pages."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.servers import Server

KINDS = ("own", "gunicorn", "preload")

StartServer = Callable[..., contextlib.AbstractContextManager[Server]]


@contextlib.contextmanager
def serve_chapter(kind: str, log_path: Path, port: int | None = None) -> Iterator[Server]:
    """Run `wsgi.py` until the block ends; on `port`, if one is given."""
    preload = ["--preload"] if kind == "preload" else []
    if kind == "own":
        options = ["--port", str(port)] if port else []
        running = servers.own(None, servers.ROOT, log_path, *options)
    elif port:
        running = gunicorn_on(port, log_path, *preload)
    else:
        running = servers.gunicorn("wsgi:app", servers.ROOT, log_path, "-w", "1", *preload)
    with running as server:
        servers.wait_until_answering(server)
        yield server


@contextlib.contextmanager
def gunicorn_on(port: int, log_path: Path, *options: str) -> Iterator[Server]:
    """Run gunicorn on a port that it binds itself: one that was in use a moment ago."""
    command = [sys.executable, "-m", "gunicorn", "-k", "gevent", "-w", "1"]
    command += ["--bind", f"{servers.LOOPBACK}:{port}", *options, "wsgi:app"]
    # gunicorn 27 and later open a control socket there; the default is one for all servers of a user.
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(log_path.parent)}
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=servers.ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(process, (servers.LOOPBACK, port), log_path)
    try:
        server.wait_for_log("Booting worker")
        yield server
        server.stop()
    finally:
        server.kill()


@pytest.fixture(scope="session", params=KINDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The chapter, under each kind of server in turn."""
    log_path = tmp_path_factory.mktemp("chapter") / f"{request.param}.log"
    with serve_chapter(request.param, log_path) as running:
        yield running


@pytest.fixture(params=KINDS)
def start_server(request: pytest.FixtureRequest, tmp_path: Path) -> StartServer:
    """Start a server of one kind; again on the same `port`, after the first was stopped."""

    def start(port: int | None = None) -> contextlib.AbstractContextManager[Server]:
        return serve_chapter(request.param, tmp_path / f"server-{port}.log", port)

    return start
