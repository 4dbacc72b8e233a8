"""One row of the table: all columns tried under one host in one version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .checks import COLUMNS, ON_ONE_SERVER, ON_OWN_SERVERS, Subject
from .environment import say
from .host import Host
from .reasons import reason_for

YES = "yes"
FAILED = "**FAILED**"
SHOWN_CHARACTERS = 4_000


@dataclass(frozen=True)
class Row:
    """What came of one host in one version.

    Attributes:
        label: the host, as users know it.
        version: of gunicorn or of the server itself.
        cells: one text for each of `COLUMNS`.
    """

    label: str
    version: str
    cells: tuple[str, ...]


def try_host(host: Host, python: Path, version: str) -> Row:
    """Try every column; what fails is told on stderr, and is a `FAILED` in the row."""
    subject = Subject(host, python)
    cells = dict.fromkeys(COLUMNS, FAILED)
    name = f"{host.label} {version}"
    succeeds(name, "start", lambda: _try_one_server(subject, cells, name))
    for column, check in ON_OWN_SERVERS.items():
        reason = reason_for(host, column)
        chosen = check if reason is None else reason.instead_alone
        if chosen is None or succeeds(name, column, partial(chosen, subject)):
            cells[column] = YES if reason is None else str(reason)
    say(f"{name}: {'failed' if FAILED in cells.values() else 'done'}")
    return Row(host.label, version, tuple(cells[column] for column in COLUMNS))


def _try_one_server(subject: Subject, cells: dict[str, str], name: str) -> None:
    with subject.running() as site:
        for column, check in ON_ONE_SERVER.items():
            reason = reason_for(subject.host, column)
            chosen = check if reason is None else reason.instead
            if chosen is None or succeeds(name, column, partial(chosen, site)):
                cells[column] = YES if reason is None else str(reason)


def succeeds(name: str, what: str, attempt: Callable[[], None]) -> bool:
    """Return whether an attempt raises nothing; say what it raises."""
    try:
        attempt()
    except (AssertionError, OSError, ValueError) as exc:
        say(f"{name}: {what} failed: {type(exc).__name__}: {str(exc)[-SHOWN_CHARACTERS:]}")
        return False
    return True
