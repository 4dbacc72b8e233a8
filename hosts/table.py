"""The table in docs/hosts.md: written, and read again, between two marks on the page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from .checks import COLUMNS
from .environment import ROOT
from .reasons import REASONS
from .trial import Row

PAGE = ROOT / "docs" / "hosts.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
HEAD = ("host server", "version", *COLUMNS)


def write(about: str, rows: Sequence[Row]) -> str:
    """Lay out what stands between the marks: when and on what, the table, its notes."""
    lines = [_line(HEAD), _line(["---"] * len(HEAD))]
    lines += [_line([row.label, row.version, *row.cells]) for row in rows]
    shown = {cell for row in rows for cell in row.cells}
    notes = [f"- ({reason.mark}) {reason.text}" for reason in REASONS if str(reason) in shown]
    return "\n\n".join([about, "\n".join(lines), *(["\n".join(notes)] if notes else [])])


def read(part: str) -> tuple[str, list[Row]]:
    """Take apart what `write` laid out.

    Raises:
        ValueError: it has another form.
    """
    about, _, rest = part.partition("\n\n")
    head, _, *lines = rest.partition("\n\n")[0].split("\n")
    if head != _line(HEAD):
        raise ValueError(f"the head of the table is {head!r}, expected {_line(HEAD)!r}")
    rows = []
    for line in lines:
        label, version, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        if len(cells) != len(COLUMNS):
            raise ValueError(f"{len(cells)} cells, expected {len(COLUMNS)}: {line}")
        rows.append(Row(label, version, tuple(cells)))
    return about, rows


def part_of(text: str) -> str:
    """Give what stands between the marks of a page.

    Raises:
        ValueError: the marks are not there.
    """
    found = re.search(f"{re.escape(BEGIN)}\n\n(.*)\n\n{re.escape(END)}", text, re.DOTALL)
    if found is None:
        raise ValueError(f"no {BEGIN} and {END} on the page")
    return found[1]


def publish(part: str, page: Path = PAGE) -> None:
    """Put a fresh part between the marks of the page."""
    text = page.read_text()
    old = f"{BEGIN}\n\n{part_of(text)}\n\n{END}"
    page.write_text(text.replace(old, f"{BEGIN}\n\n{part}\n\n{END}"))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
