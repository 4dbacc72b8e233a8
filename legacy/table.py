"""The table in docs/legacy.md, between two marks on the page."""

from __future__ import annotations

from collections.abc import Sequence

from hosts.environment import ROOT

from .checks import COLUMNS
from .trial import Row

PAGE = ROOT / "docs" / "legacy.md"
HEAD = ("app", "version", "lines", "worker", *COLUMNS)


def write(about: str, rows: Sequence[Row]) -> str:
    """Lay out what stands between the marks: when and on what, and the table."""
    lines = [_line(HEAD), _line(["---"] * len(HEAD))]
    lines += [
        _line([row.label, row.version, row.lines, f"`{row.worker}`", *row.cells]) for row in rows
    ]
    return "\n\n".join([about, "\n".join(lines)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
