"""A real nginx in a folder of its own, with the configuration that a test gives it.

nginx can't be told to choose a port and say which. So the listening socket is made here, on port 0,
and handed over in the variable NGINX, by which nginx's own binary upgrade hands sockets on: no port
is guessed, none is lost.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import servers

CONFIGURATION = """\
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr notice;
{user}
events {{ worker_connections {worker_connections}; }}
http {{
    access_log access.log;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
{text}
}}
"""


@contextlib.contextmanager
def nginx(text: str, folder: Path, *, worker_connections: int = 256) -> Iterator[servers.Server]:
    """Run nginx until the block ends.

    Args:
        text: what stands inside `http {}`, with `listen PORT;` where the port goes, literally.
        folder: empty; its prefix, with configuration, logs and what it stores for a while.
        worker_connections: how many it takes; each proxied one counts twice.
    """
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("nginx is not installed")
    with socket.create_server((servers.LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        user = (
            "user root;" if os.geteuid() == 0 else ""
        )  # its workers must reach UNIX sockets in folders of this user
        placed = text.replace("listen PORT;", f"listen {servers.LOOPBACK}:{port};")
        written = CONFIGURATION.format(
            user=user, worker_connections=worker_connections, text=placed
        )
        (folder / "nginx.conf").write_text(written)
        log_path = folder / "log"
        process = _start(
            [program, "-p", str(folder), "-c", "nginx.conf"], folder, log_path, listener.fileno()
        )
    server = servers.Server(process, (servers.LOOPBACK, port), log_path)
    with servers.until_the_end(server):
        server.wait_for_log("start worker process ")
        yield server


def _start(
    command: list[str], folder: Path, log_path: Path, listener: int
) -> subprocess.Popen[bytes]:
    with log_path.open("wb") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "NGINX": f"{listener};"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[listener],
            start_new_session=True,
        )
