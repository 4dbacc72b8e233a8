"""What one process keeps of what is said, in numbers; only where something keeps history."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..backplane.contract import Facts
    from ..engine.runtime import Runtime
    from .metrics import Sums

COUNTED = (
    "failures",
    "kept",
    "unkept",
    "repeated",
    "newcomers",
    "resumes",
    "gaps",
    "replayed",
)
"""The names of what is counted; the families begin with "history_"."""

_SIZED = ("history_bytes", "history_latest_seconds", "history_longest_seconds")


def look_at_history(sums: Sums, process: Runtime) -> None:
    """Add what a process keeps."""
    reading, counts = process.fanout.reading, process.keeping_counts
    if reading is None:
        return
    for name in COUNTED:
        sums.count(f"history_{name}", sum(getattr(one, name) for one in counts))

    error = process.history_error
    sums.gauge("history_up", int(not error))
    if reading.is_distant:
        return  # it bounds itself, and answers take as long as its line does
    sums.raise_to("history_bytes", 0 if error else reading.size_bytes())
    # Of a process that kept something in its hub and outside of it, the hub's is the usual one.
    latest_s = next((one.latest_s for one in reversed(counts) if one.latest_s), 0.0)
    sums.raise_to("history_latest_seconds", latest_s)
    sums.raise_to("history_longest_seconds", max(one.longest_s for one in counts))


def facts_of_history(sums: Sums) -> Facts | None:
    """Return what one process keeps, or several added up, for a page; None where nothing does."""
    if "history_up" not in sums.gauges:
        return None
    facts: Facts = {
        name: sum(sums.counters.get(f"history_{name}", {}).values()) for name in COUNTED
    }
    for family in _SIZED:
        facts[family.removeprefix("history_")] = max(
            sums.highest.get(family, {}).values(), default=0
        )
    facts["is_up"] = bool(sum(sums.gauges["history_up"].values()))
    return facts
