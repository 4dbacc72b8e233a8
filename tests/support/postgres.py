"""A PostgreSQL server of a test's own: in a temporary folder, on a UNIX socket, gone at the end.

    with postgres.running() as database:
        connect(database.url("postgresql+psycopg"))          # SQLAlchemy
        DATABASES = {"default": database.django()}           # Django
        database.connections("my app")                       # seen from the server's side

PostgreSQL refuses to run as root, so root runs it as another user. Nothing listens on a port.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

DEBIAN_FOLDERS = Path(
    "/usr/lib/postgresql"
)  # one folder for each major version, none of them on the PATH
USER = "tester"
DATABASE = "postgres"
START_S = 60.0
STOP_S = 20.0
POLL_S = 0.05

# A database that is thrown away may lose everything in a crash.
FAST = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "shared_buffers=16MB",
    "max_connections=200",
)


class Postgres:
    """One running server.

    Attributes:
        folder: where its socket is; "host" to every client library.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def url(self, scheme: str, application: str = "") -> str:
        """Give its address as SQLAlchemy and others write it.

        Args:
            scheme: as "postgresql+psycopg".
            application: what `connections` is asked for.
        """
        named = f"&application_name={application}" if application else ""
        return f"{scheme}://{USER}@/{DATABASE}?host={self.folder}{named}"

    def django(self, application: str = "") -> dict[str, Any]:  # Any: as Django has it
        """Give its address as an entry of Django's DATABASES."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": DATABASE,
            "USER": USER,
            "HOST": str(self.folder),
            "OPTIONS": {"application_name": application},
        }

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:  # Any: what a query gives
        """Connect as one who looks on; each statement is a transaction of its own."""
        return psycopg.connect(host=str(self.folder), dbname=DATABASE, user=USER, autocommit=True)

    def connections(self, application: str) -> list[str]:
        """Give the state of each connection of a client, such as "idle" or "idle in
        transaction".
        """
        query = "SELECT state FROM pg_stat_activity WHERE application_name = %s"
        with self.connect() as connection:
            return [str(state) for (state,) in connection.execute(query, [application])]


@contextlib.contextmanager
def running() -> Iterator[Postgres]:
    """Run a new, empty server until the block ends."""
    # Not in pytest's folder: nobody but its owner gets in there, and a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    owner = _unprivileged_user()
    try:
        if owner is not None:
            shutil.chown(folder, owner)
        _initialise(folder, owner)
        yield from _serve(folder, owner)
    finally:
        shutil.rmtree(folder)


def _serve(folder: Path, owner: str | None) -> Iterator[Postgres]:
    command = [
        _program("postgres"),
        "-D",
        str(folder / "data"),
        "-k",
        str(folder),
        "-c",
        "listen_addresses=",
    ]
    command += [word for setting in FAST for word in ("-c", setting)]
    log_path = folder / "log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            **_as_user(owner),
        )
    try:
        server = Postgres(folder)
        _wait_until_ready(server, process, log_path)
        yield server
    finally:
        # "Fast": whoever is still connected is cut off.
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(STOP_S)


def _initialise(folder: Path, owner: str | None) -> None:
    command = [
        _program("initdb"),
        "-D",
        str(folder / "data"),
        "-U",
        USER,
        "--auth=trust",
        "--encoding=UTF8",
    ]
    done = subprocess.run(
        [*command, "--locale=C.UTF-8", "--no-sync"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
        **_as_user(owner),
    )
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"


def _wait_until_ready(server: Postgres, process: subprocess.Popen[bytes], log_path: Path) -> None:
    give_up_at = time.monotonic() + START_S
    while True:
        try:
            server.connect().close()
            return
        except psycopg.OperationalError as exc:
            if process.poll() is not None or time.monotonic() > give_up_at:
                log = log_path.read_text(errors="replace")
                raise AssertionError(
                    f"PostgreSQL is not there (exit code {process.returncode}):\n{log}"
                ) from exc
        time.sleep(POLL_S)


def _program(name: str) -> str:
    versions = [
        path for path in DEBIAN_FOLDERS.glob(f"*/bin/{name}") if path.parents[1].name.isdigit()
    ]
    if versions:
        return str(max(versions, key=lambda path: int(path.parents[1].name)))
    found = shutil.which(name)
    assert found is not None, f"no {name} here: install what scripts/system-deps lists"
    return found


def _unprivileged_user() -> str | None:
    """Whom root lets it run as; None for anybody else, who runs it himself."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _as_user(owner: str | None) -> dict[str, Any]:  # Any: arguments of Popen
    if owner is None:
        return {}
    return {"user": owner, "group": pwd.getpwnam(owner).pw_gid, "extra_groups": []}
