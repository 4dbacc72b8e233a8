"""The whole report, and how it gets into docs/performance.md, which has its own words around the
marks there.

A run of some scenarios replaces their tables only, each with its date, and history if it measured
all of that. What sums up the others is replaced by a run that has all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from . import chart, tables
from .histories import history
from .peers import ROOT
from .results import Results
from .scenarios import HISTORY, SCENARIOS, Scenario
from .targets import targets

PAGE = ROOT / "docs" / "performance.md"
CHART = ROOT / "docs" / "images" / "performance.svg"

ALONE = tuple(one for one in SCENARIOS if one not in HISTORY)
"""Those with a table of their own."""

SUMMED_UP = tuple(one for one in ALONE if one.is_default)
"""What head, summary, targets and chart are about."""


def report(results: Results) -> str:
    """Give everything: what was measured on what, the summary, the targets, what history costs,
    and a table for each scenario.
    """
    details = [part for one in ALONE if (part := tables.detail(results, one))]
    parts = (*_overview(results).values(), history(results), *details)
    return "\n\n".join(part for part in parts if part) + "\n"


def publish(results: Results) -> list[str]:
    """Replace what stands between `<!-- NAME: begin -->` and `<!-- NAME: end -->`, and draw the
    chart anew.

    Returns:
        What was left as it was since the run has not measured all of it.
    """
    text, left = PAGE.read_text(), []
    missing = _missing(results, SUMMED_UP)
    text = fill(text, "details", _details(results, text, is_part=bool(missing)))
    if missing:
        left.append(f"head, summary, targets and chart are as they were, for want of {missing}")
    else:
        for name, part in _overview(results).items():
            text = fill(text, name, part)
        CHART.write_text(chart.draw(results))
    if missing := _missing(results, HISTORY):
        left.append(f"history is as it was, for want of {missing}")
    else:
        text = fill(text, "history", history(results))
    PAGE.write_text(text)
    return left


def _overview(results: Results) -> dict[str, str]:
    return {
        "about": tables.about(results),
        "summary": tables.summary(results),
        "targets": targets(results),
    }


def _missing(results: Results, scenarios: Iterable[Scenario]) -> str:
    skipped = results.about.get("skipped", {})
    return ", ".join(
        one.key for one in scenarios if not results.peers(one) and one.key not in skipped
    )


def _details(results: Results, page: str, *, is_part: bool) -> str:
    """Lay out a table for each scenario: the new one, or the one that the page has.

    Args:
        is_part: whether each new one says itself when it was measured, since the head doesn't.
    """
    known = {_title(part): part for part in re.split(r"\n\n(?=### )", between(page, "details"))}
    parts = []
    for scenario in ALONE:
        part = tables.detail(results, scenario)
        if part and is_part:
            part += f"\n\n{tables.when(results)}"
        parts.append(part or known.get(tables.capital(scenario.title), ""))
    return "\n\n".join(part for part in parts if part)


def _title(part: str) -> str:
    return part.partition("\n")[0].removeprefix("### ")


def between(text: str, name: str) -> str:
    """Give what stands between the marks of that name.

    Raises:
        ValueError: the marks are not there.
    """
    begin, end = _marks(name)
    if begin not in text or end not in text:
        raise ValueError(f"{PAGE.name} has no marks for {name!r}, expected {begin} and {end}")
    return text.partition(begin)[2].partition(end)[0].strip()


def fill(text: str, name: str, part: str) -> str:
    """Give `text` with `part` between the marks of that name.

    Raises:
        ValueError: the marks are not there.
    """
    between(text, name)
    begin, end = _marks(name)
    before, after = text.partition(begin)[0], text.partition(end)[2]
    return f"{before}{begin}\n\n{part}\n\n{end}{after}"


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
