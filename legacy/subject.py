"""What a subject is: an application from PyPI, and what its users do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from .browser import Browser

APPS = Path(__file__).with_name("apps")

ADA, BOB = "ada", "bob"
"""The users; each has the password `PASSWORD`."""

PASSWORD = "a long pass phrase"

WORKER_COUNT = 2
"""In which WebSockets are tried."""

DATE = {"date": rb"\r\nDate: ([^\r]*)"}
"""A field of the server's own, in every answer."""


@dataclass(frozen=True)
class Site:
    """Where a subject is tried.

    Attributes:
        python: the interpreter of its environment.
        folder: what it keeps; the server's working directory, and a copy for each run.
    """

    python: Path
    folder: Path


def nothing_around(site: Site) -> AbstractContextManager[Mapping[str, str]]:
    """Return a context in which nothing runs."""
    return nullcontext({})


@dataclass(frozen=True)
class Subject:
    """One application.

    Attributes:
        key: how it is named on the command line; its files are in `KEY` below `apps`.
        label: how users know it.
        distribution: of PyPI, whose version the table shows.
        needs: what pip installs.
        prepare: makes what it keeps: its users, and something to look at.
        dialogue: sends what is compared with and without WebSockets.
        login: makes a browser that of a user.
        change: changes something by a view of the application.
        leave: logs the browser's user out.
        path: of the WebSocket; `{user}` stands for the user.
        pushed: what a WebSocket hears of `change`.
        volatile: patterns of what differs from one answer to the next, by name; see `browser.mask`.
        environ: variables of its server.
        http_worker_count: in how many workers answers are compared: 1 where an application keeps
            something in its process, so that its answers depend on the worker.
        apps: where its files are.
        around: what runs beside it, such as a database, with the variables that lead there.
    """

    key: str
    label: str
    distribution: str
    needs: Sequence[str]
    prepare: Callable[[Site], None]
    dialogue: Callable[[Browser], None]
    login: Callable[[Browser, str], None]
    change: Callable[[Browser], None]
    leave: Callable[[Browser, Site, str], None]
    path: str
    pushed: str
    volatile: Mapping[str, bytes] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    http_worker_count: int = WORKER_COUNT
    apps: Path = APPS
    around: Callable[[Site], AbstractContextManager[Mapping[str, str]]] = nothing_around

    @property
    def files(self) -> Path:
        """The folder of `before.py`, the application as it is, and `wsgi.py`, which wraps it."""
        return self.apps / self.key

    @property
    def line_count(self) -> int:
        """How many lines wrap it, without empty ones, comments and the docstring."""
        lines = (line.strip() for line in (self.files / "wsgi.py").read_text().splitlines())
        return sum(bool(line) and not line.startswith(("#", '"""')) for line in lines)
