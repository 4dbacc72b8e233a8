"""A subject on gunicorn, before and after, and its WebSockets."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support import servers
from tests.support.raw import RawClient

from .browser import ANSWER_S, Browser
from .subject import Site, Subject

BEFORE, WRAPPED = "before:application", "wsgi:app"
QUIET = ("-W", "ignore")  # what old libraries warn about is theirs
HEARS_S = 10.0
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
OURS = f'File "{servers.ROOT}/tina4_wsgi/'
TRACEBACK = re.compile(r"Traceback \(most recent call last\):\n(?:[ \t].*\n)*")
GRACE = ("--graceful-timeout", "8")


@dataclass(frozen=True)
class Running:
    """A started server.

    Attributes:
        subject: what it serves.
        site: what it serves it from.
        server: its processes.
    """

    subject: Subject
    site: Site
    server: servers.Server

    def browser(self, user: str = "") -> Browser:
        """Return a new browser, logged in as `user` if one is named."""
        browser = Browser(self.server.address)
        if user:
            self.subject.login(browser, user)
        return browser

    def status(self, fields: Iterable[tuple[str, str]], user: str) -> int:
        """Ask for an upgrade at the address for `user`, and return how it was answered."""
        path = self.subject.path.format(user=user)
        with RawClient.dial(self.server.address, ANSWER_S) as client:
            return client.ask_upgrade(path, KEY, fields).status

    def open(self, browser: Browser, user: str) -> RawClient:
        """Open a WebSocket at the address for `user` as a page in this browser does."""
        client = RawClient.dial(self.server.address, HEARS_S)
        try:
            client.upgrade(self.subject.path.format(user=user), browser.credentials)
        except BaseException:
            client.close()
            raise
        return client

    def pid_of(self, client: RawClient) -> int:
        """Return the worker that has the other end of a connection; nothing of it needs to tell.

        Raises:
            AssertionError: none of its workers has.
        """
        inode = _inode_of(client.socket.getpeername(), client.socket.getsockname())
        for pid in _children(self.server.pid):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                    if str(link.readlink()) == f"socket:[{inode}]":
                        return pid
        raise AssertionError(f"no worker of {self.server.pid} has socket {inode}")


@contextlib.contextmanager
def running(
    subject: Subject,
    site: Site,
    worker_class: str,
    target: str,
    count: int,
    environ: Mapping[str, str],
) -> Iterator[Running]:
    """Run a subject until the block ends.

    Args:
        target: `BEFORE` or `WRAPPED`.
        count: of workers.
        environ: variables of what runs beside it.
    Raises:
        AssertionError: it doesn't start or stop, or its log has a traceback with modules of ours.
    """
    python = {
        "PYTHONPATH": f"{subject.files}:{servers.ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",  # Kinto and others lay out sets
    }
    with servers.gunicorn(
        target,
        site.folder,
        site.folder.with_name(f"{site.folder.name}.log"),
        "--workers",
        str(count),
        *GRACE,
        worker_class=worker_class,
        env={**subject.environ, **environ, **python},
        python=(str(site.python), *QUIET),
    ) as server:
        server.wait_for_log(rf"(?s)(?:Booting worker.*){{{count}}}")
        Browser(server.address).get("/")  # when it is answered, the application has been loaded
        yield Running(subject, site, server)
    # An application may log errors of its own, before and after; none may come through our modules.
    assert not tracebacks_of_ours(server.log), f"a traceback of ours in its log:\n{server.log}"


def tracebacks_of_ours(log: str) -> list[str]:
    """Return the tracebacks of a log that lead through modules of ours."""
    return [found[0] for found in TRACEBACK.finditer(log) if OURS in found[0]]


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _inode_of(local: tuple[str, int], remote: tuple[str, int]) -> str:
    wanted = [_as_proc_has_it(*address) for address in (local, remote)]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = re.split(r"\s+", line.strip())
        if fields[1:3] == wanted:
            return fields[9]
    raise AssertionError(f"no connection from {remote} to {local}")


def _as_proc_has_it(host: str, port: int) -> str:
    number = int.from_bytes(socket.inet_aton(host), "little")
    return f"{number:08X}:{port:04X}"
