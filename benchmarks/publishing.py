"""Puts a run together: all of it for a terminal, and its parts into docs/performance.md, between
the marks there.
"""

from __future__ import annotations

import re

from . import chart, tables
from .peers import ROOT
from .results import Results
from .scenarios import SCENARIOS
from .targets import targets

PAGE = ROOT / "docs" / "performance.md"
CHART = ROOT / "docs" / "images" / "performance.svg"


def report(results: Results) -> str:
    """Give everything: what was measured on what, the summary, the targets, and a table for each
    scenario.
    """
    return "\n\n".join(part for part in _parts(results).values() if part) + "\n"


def publish(results: Results) -> None:
    """Replace what stands between `<!-- NAME: begin -->` and `<!-- NAME: end -->`, and draw the
    chart anew.
    """
    text = PAGE.read_text()
    for name, part in _parts(results).items():
        text = fill(text, name, part)
    PAGE.write_text(text)
    CHART.write_text(chart.draw(results))


def _parts(results: Results) -> dict[str, str]:
    return {
        "about": tables.about(results),
        "summary": tables.summary(results),
        "targets": targets(results),
        "details": "\n\n".join(part for one in SCENARIOS if (part := tables.detail(results, one))),
    }


def fill(text: str, name: str, part: str) -> str:
    """Give `text` with `part` between the marks of that name.

    Raises:
        ValueError: the marks are not there.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    if begin not in text or end not in text:
        raise ValueError(f"{PAGE.name} has no marks for {name!r}, expected {begin} and {end}")
    filled = f"{begin}\n\n{part}\n\n{end}"
    return re.sub(
        f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: filled, text, count=1, flags=re.DOTALL
    )
