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
    "| peer | owed | lost | without a word | late | doubled | out of order | rooms split | told |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
)
JOURNAL_TITLES = {"": "", "file": ", in files", "redis": ", in Redis"}
INTRODUCTION = """\
# Who misses what

`make chaos ARGS="resume --peers all --publish"` wrote this page; [README.md](README.md) says what
is done, and what counts. {scale}; {versions}.

"Owed" counts each message once for each client of its room. "Without a word": the client missed it
and was never told that it had missed something; a route without history can't tell. "Late": it
heard later messages first, and was told then. "Told" counts how often any client was told. "Rooms
split": clients that were never told saw different sequences.
"""


class Row(NamedTuple):
    """One case in figures."""

    fault: str
    peer: str
    journal: str
    owed: int
    lost: int
    silent: int
    late: int
    doubled: int
    disordered: int
    split: int
    told: int


def page(rows: Iterable[Row], scale: Scale, versions: Mapping[str, str]) -> str:
    """Lay out all rows, by fault."""
    said = ", ".join(f"{name} {version}" for name, version in versions.items())
    parts = [INTRODUCTION.format(scale=str(scale).capitalize(), versions=said)]
    listed = list(rows)
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
    figures += [f"{row.disordered:,}", str(row.split), told]
    return f"| {title} | {' | '.join(figures)} |"


def _place(row: Row) -> tuple[int, int]:
    return list(PEERS).index(row.peer), PEERS[row.peer].journals.index(row.journal)


class Store:
    """Rows of this and of earlier runs of the same scale, in a file that keeps other scales too."""

    def __init__(self, path: Path, scale: Scale) -> None:
        self._path, self._scale = path, str(scale)

    def add(self, name: str, row: Row) -> None:
        """Enter a row in place of an earlier one of this name."""
        kept = self._read()
        kept.setdefault(self._scale, {})[name] = row
        self._path.write_text(json.dumps(kept, indent=1))

    def rows(self) -> list[Row]:
        """Return all of this scale."""
        return [Row(*row) for row in self._read().get(self._scale, {}).values()]

    def _read(self) -> dict[str, dict[str, Row]]:
        return json.loads(self._path.read_text()) if self._path.exists() else {}
