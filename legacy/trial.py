"""One row of the table: a subject under one kind of worker, before and after."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from hosts.environment import say
from hosts.trial import succeeds

from . import checks
from .browser import Answer
from .checks import COLUMNS, HTTP, ON_WRAPPED
from .running import BEFORE, WRAPPED, Running, running
from .subject import WORKER_COUNT, Site, Subject

OK = "OK"
FAIL = "FAIL"
WORKERS = ("sync", "gevent")


@dataclass(frozen=True)
class Row:
    """What came of one subject under one kind of worker.

    Attributes:
        label: the subject, as users know it.
        version: of the subject.
        worker: gunicorn's worker class.
        lines: how many lines wrap it.
        cells: one text for each of `COLUMNS`.
    """

    label: str
    version: str
    worker: str
    lines: str
    cells: tuple[str, ...]


def try_subject(subject: Subject, prepared: Site, worker: str, version: str) -> Row:
    """Try every column; what fails is told on stderr, and is a `FAIL` in the row.

    Args:
        prepared: what `prepare` made; each server gets a copy.
        worker: gunicorn's worker class.
    """
    name = f"{subject.label} {version} on {worker}"
    cells = dict.fromkeys(COLUMNS, FAIL)
    before: list[Answer] = []

    def on_before(started: Running) -> None:
        before.extend(checks.dialogue(started))

    def on_http(started: Running) -> None:
        if succeeds(name, HTTP, lambda: checks.same_http(before, started)):
            cells[HTTP] = OK

    def on_sockets(started: Running) -> None:
        for column, check in ON_WRAPPED.items():
            if succeeds(name, column, partial(check, started)):
                cells[column] = OK

    def on_wrapped(started: Running) -> None:
        on_http(started)
        on_sockets(started)

    count = subject.http_worker_count
    servers: list[tuple[str, int, Callable[[Running], None]]] = [(BEFORE, count, on_before)]
    if count == WORKER_COUNT:
        servers.append((WRAPPED, count, on_wrapped))
    else:
        servers += [(WRAPPED, count, on_http), (WRAPPED, WORKER_COUNT, on_sockets)]

    has_run = [
        succeeds(name, target, partial(_serve, subject, prepared, worker, target, count, use))
        for target, count, use in servers
    ]
    if not all(has_run):  # or its log has a traceback of ours
        cells[HTTP] = FAIL
    say(f"{name}: {'failed' if FAIL in cells.values() else 'done'}")
    return Row(subject.label, version, worker, str(subject.line_count), tuple(cells.values()))


def _serve(
    subject: Subject,
    prepared: Site,
    worker: str,
    target: str,
    count: int,
    use: Callable[[Running], None],
) -> None:
    """Run a copy of the subject, and use it."""
    folder = prepared.folder.with_name(f"{worker}-{count}-{target.partition(':')[0]}")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(prepared.folder, folder)
    site = Site(prepared.python, folder)
    with (
        subject.around(site) as environ,
        running(subject, site, worker, target, count, environ) as started,
    ):
        use(started)
