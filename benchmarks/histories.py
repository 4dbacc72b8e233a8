"""What history costs, as a table: each scenario beside the same without it."""

from __future__ import annotations

from . import tables, words
from .results import Results
from .scenarios import HISTORY, Scenario

HEAD = ("what", "server", "counted", "without", "with", "× (range)", tables.OTHERS, "rounds apart")


def history(results: Results) -> str:
    """Lay out all that was measured of it, and say when; nothing of nothing."""
    measured = [scenario for scenario in HISTORY if results.peers(scenario)]
    if not measured:
        return ""
    rows = [_row(results, one, key) for one in measured for key in results.peers(one)]
    notes = "".join(tables.notes(results, one, results.peers(one)) for one in measured)
    return f"{tables.when(results)}\n\n{tables.table(HEAD, rows)}{notes}"


def _row(results: Results, scenario: Scenario, key: str) -> list[str]:
    found = {name: results.spread(scenario, key, name) for name in ("without", scenario.figure)}
    is_rate = scenario.figure == "per_cpu_s"
    return [
        tables.capital(scenario.title),
        tables.name_of(key),
        f"{scenario.unit} per CPU second" if is_rate else scenario.unit,
        *(
            words.figure_of(scenario, one.median) if one else tables.NOTHING
            for one in found.values()
        ),
        tables.ranged(results.spread(scenario, key, "ratio")),
        *tables.ends(results, scenario, key),
    ]
