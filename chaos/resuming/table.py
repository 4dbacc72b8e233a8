"""The table of results, as Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from .faults import FAULTS
from .peers import PEERS
from .scale import Scale

HEAD = (
    "| peer | owed | lost | without a word | late | doubled | out of order | rooms split | told "
    "| measured |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|---|"
)
JOURNAL_TITLES = {"": "", "file": ", in files", "redis": ", in Redis"}
INTRODUCTION = """\
# Who misses what

`make chaos ARGS="resume --peers all --publish"` wrote this page; [README.md](README.md) says what
is done, and what counts. {size}; {seeds}. The latest rows were measured with {versions}.

"Owed" counts each message once for each client of its room. "Without a word": the client missed it
and was never told that it had missed something; a route without history can't tell. "Late": it
heard later messages first, and was told then. "Told" counts how often any client was told. "Rooms
split": clients that were never told saw different sequences.
"""


class Row(NamedTuple):
    """One case in figures.

    Attributes:
        date: when it was measured, as "2026-11-30".
        python: by which interpreter its servers ran, as "CPython 3.11.7".
    """

    fault: str
    peer: str
    journal: str
    date: str
    python: str
    seed: int
    owed: int
    lost: int
    silent: int
    late: int
    doubled: int
    disordered: int
    split: int
    told: int


def page(rows: Iterable[Row], scale: Scale, versions: Mapping[str, str]) -> str:
    """Lay out all rows, by fault; `versions` are those of the latest."""
    listed = list(rows)
    said = ", ".join(f"{name} {version}" for name, version in versions.items())
    seeds = sorted({row.seed for row in listed})
    seeds_said = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    parts = [INTRODUCTION.format(size=scale.size, seeds=seeds_said, versions=said)]
    for key, fault in FAULTS.items():
        found = [row for row in listed if row.fault == key]
        if found:
            parts += [f"## {key.capitalize()}: {fault.title}\n", HEAD]
            parts += [_line(row) for row in sorted(found, key=_place)] + [""]
    return "\n".join(parts).rstrip() + "\n"


def _line(row: Row) -> str:
    peer = PEERS[row.peer]
    title = peer.title + (JOURNAL_TITLES[row.journal] if len(peer.journals) > 1 else "")
    silent, late, told = (
        f"{value:,}" if peer.tells else "–" for value in (row.silent, row.late, row.told)
    )
    figures = [f"{row.owed:,}", f"{row.lost:,}", silent, late, f"{row.doubled:,}"]
    figures += [f"{row.disordered:,}", str(row.split), told, f"{row.date}, {row.python}"]
    return f"| {title} | {' | '.join(figures)} |"


def _place(row: Row) -> tuple[int, int]:
    return list(PEERS).index(row.peer), PEERS[row.peer].journals.index(row.journal)


class Store:
    """The published rows, in a file of one line for each.

    A run replaces its own cases, so that parts can be run one by one. Rows of another size stay in
    the file, and out of the page.
    """

    def __init__(self, path: Path, scale: Scale) -> None:
        self._path, self._size = path, scale.size

    def add(self, row: Row) -> None:
        """Enter a row in place of an earlier one of its case."""
        kept = self._read()
        kept[self._size, row.fault, row.peer, row.journal] = row
        lines = (
            json.dumps({"size": size, **row._asdict()}) for (size, *_), row in sorted(kept.items())
        )
        self._path.write_text("".join(f"{line}\n" for line in lines))

    def rows(self) -> list[Row]:
        """Return those of this size whose peer and journal there still are."""
        return [
            row
            for (size, *_), row in self._read().items()
            if size == self._size and row.peer in PEERS and row.journal in PEERS[row.peer].journals
        ]

    def _read(self) -> dict[tuple[str, str, str, str], Row]:
        found = {}
        for line in self._path.read_text().splitlines() if self._path.exists() else ():
            entry = json.loads(line)
            size = entry.pop("size")
            row = Row(**entry)
            found[size, row.fault, row.peer, row.journal] = row
        return found
