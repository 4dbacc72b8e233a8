"""A server with one of the acceptance tests' applications, and what a test asks of it from
outside.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.support import servers
from tests.support.raw import RawClient
from tests.support.servers import Server

APPS = servers.ROOT / "tests" / "acceptance" / "apps"
ANSWER_S = 10.0
POLL_S = 0.005
KINDS = tuple(os.environ.get("TINA4_TEST_KINDS", "own gunicorn preload sync gthread").split())
"""The kinds of servers that the acceptance and the hostile tests ask."""
NATIVE_KINDS = ("sync", "gthread")
"""gunicorn's workers without a hub: WebSockets live in a thread of their own."""
OPTIONS_OF_KIND = {"preload": ("--preload",), "gthread": ("--threads", "4")}

Details = dict[str, Any]  # Any: what the line of JSON holds
Connect = Callable[..., RawClient]  # the fixture `connect`: path and header fields


def asked(*kinds: str) -> list[str]:
    """Give those of some kinds that are asked at all."""
    return [kind for kind in kinds if kind in KINDS]


class Journal:
    """What callbacks wrote down, read from outside of the server."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def lines(self, tag: str) -> list[Details]:
        """Give what was written for one client, in order."""
        if not self._path.exists():
            return []
        needle = f'"tag": "{tag}"'
        # Up to the last line break: the server may be in the middle of a line.
        whole = self._path.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines() if needle in line]

    def events(self, tag: str) -> list[str]:
        """Give the names of a client's events; messages with their text behind a colon."""
        named = {"message": "message: {data}"}
        return [named.get(line["event"], line["event"]).format(**line) for line in self.lines(tag)]

    def wait_for(self, tag: str, event: str, count: int = 1) -> Details:
        """Wait for an event of a client, or until it has come so often, and give its last line."""
        give_up_at = time.monotonic() + ANSWER_S
        while True:
            found = [line for line in self.lines(tag) if line["event"] == event]
            if len(found) >= count:
                return found[count - 1]
            assert time.monotonic() < give_up_at, f"no {event!r} for {tag}, only {self.lines(tag)}"
            time.sleep(POLL_S)


class Site:
    """A running server with one of the applications.

    Attributes:
        kind: one of `KINDS`.
        server: the process and its address.
        journal: what the callbacks wrote down.
    """

    def __init__(self, kind: str, server: Server, journal: Journal) -> None:
        self.kind = kind
        self.server = server
        self.journal = journal

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return self.server.address

    def request(self, method: str, path: str) -> tuple[int, bytes]:
        """Make one HTTP request on a connection of its own; gives status and body."""
        connection = http.client.HTTPConnection(*self.address, timeout=ANSWER_S)
        with contextlib.closing(connection):
            connection.request(method, path, headers={"Connection": "close"})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def state(self) -> Details:
        """Ask what the server process holds; see apps/probe.py."""
        status, body = self.request("GET", "/state")
        assert status == 200, body
        return json.loads(body)  # type: ignore[no-any-return]

    def wait_for_state(
        self, is_right: Callable[[Details], bool], timeout_s: float = ANSWER_S
    ) -> Details:
        """Ask again and again until the answer is right, and give it."""
        give_up_at = time.monotonic() + timeout_s
        while not is_right(state := self.state()):
            assert time.monotonic() < give_up_at, f"still {state}"
            time.sleep(POLL_S)
        return state


@contextlib.contextmanager
def run_site(
    kind: str,
    target: str,
    folder: Path,
    *options: str,
    env: Mapping[str, str] | None = None,
    working_folder: Path = APPS,
) -> Iterator[Site]:
    """Run one of the applications under one kind of server; a test that wants to see the end stops
    it itself.

    Args:
        kind: "own"; "gunicorn" for its gevent worker, "preload" for that with `--preload`; "sync"
            or "gthread" for those workers.
        target: the app, as "main:app".
        folder: where the log and the journal go.
        options: of the server.
    """
    log_path, journal_path = folder / "server.log", folder / "journal"
    env = {"PYTHONPATH": str(servers.ROOT), "JOURNAL": str(journal_path), **(env or {})}
    if kind == "own":
        running = servers.own(target, working_folder, log_path, *options, env=env)
    else:
        worker_class = kind if kind in NATIVE_KINDS else "gevent"
        options = ("-w", "1", *OPTIONS_OF_KIND.get(kind, ()), *options)
        running = servers.gunicorn(
            target, working_folder, log_path, *options, worker_class=worker_class, env=env
        )
    with running as server:
        try:
            servers.wait_until_answering(server)
            yield Site(kind, server, Journal(journal_path))
        finally:
            # Gunicorn takes two seconds to stop, and how it stops has tests of its own.
            server.end()
