"""What a run has found, as it is kept in a file: samples by scenario, server and round, and what
they say together.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from .measuring import Sample
from .scenarios import Scenario


class Spread(NamedTuple):
    """The median of some rounds, with the least and the most of them."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread | None:
        """Give the spread of some values, None of nothing."""
        known = sorted(values)
        return cls(median(known), known[0], known[-1]) if known else None

    @property
    def width(self) -> float:
        """How far apart the rounds are, as a share of their median."""
        return (self.most - self.least) / self.median if self.median else 0.0


class Results:
    """Everything that is known of a run.

    Attributes:
        about: machine, versions, date, options, and why servers are missing.
        samples: each with its "scenario", "peer" and "round"; one that failed has a "failure"
            instead of numbers.
    """

    def __init__(self, about: dict[str, Any], samples: Sequence[Sample] = ()) -> None:
        self.about = about
        self.samples = list(samples)

    @classmethod
    def read(cls, *paths: Path) -> Results:
        """Read one run, or several: later ones replace the scenarios of earlier ones, the first
        says what it ran on.
        """
        about: dict[str, Any] = {}
        samples: dict[str, list[Sample]] = {}
        for path in paths:
            run = json.loads(path.read_text())
            about = about or run["about"]
            fresh: dict[str, list[Sample]] = {}
            for sample in run["samples"]:
                fresh.setdefault(sample["scenario"], []).append(sample)
            samples |= fresh
        return cls(about, [sample for group in samples.values() for sample in group])

    def write(self, path: Path) -> None:
        """Write all of it; it replaces what was there in one step."""
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(
            json.dumps({"about": self.about, "samples": self.samples}, indent=1) + "\n"
        )
        fresh.rename(path)

    def of(self, scenario: Scenario, peer: str) -> list[Sample]:
        """Give the samples of one server that hold numbers."""
        return [one for one in self._all_of(scenario, peer) if "failure" not in one]

    def failures(self, scenario: Scenario, peer: str) -> list[str]:
        """Say why samples of one server hold no numbers."""
        return [one["failure"] for one in self._all_of(scenario, peer) if "failure" in one]

    def peers(self, scenario: Scenario) -> list[str]:
        """Give the servers that were tried, in the order of their first sample."""
        return list(
            dict.fromkeys(one["peer"] for one in self.samples if one["scenario"] == scenario.key)
        )

    def spread(self, scenario: Scenario, peer: str, figure: str) -> Spread | None:
        """Give what the rounds say of one figure of one server."""
        return Spread.of(one[figure] for one in self.of(scenario, peer) if figure in one)

    def ratio(self, scenario: Scenario, peer: str, against: Sequence[str]) -> Spread | None:
        """Compare a server with the best of some others: the ratio of each round, then the median
        of these.

        Within a round the two ran shortly after each other, so what slowed the machine slowed both.
        """
        own = self._by_round(scenario, peer)
        others = [self._by_round(scenario, other) for other in against]
        best = min if scenario.is_lower_better else max
        ratios = []
        for number, figure in own.items():
            figures = [other[number] for other in others if other.get(number)]
            if figures:
                ratios.append(figure / best(figures))
        return Spread.of(ratios)

    def _by_round(self, scenario: Scenario, peer: str) -> dict[int, float]:
        return {
            one["round"]: one[scenario.figure]
            for one in self.of(scenario, peer)
            if scenario.figure in one
        }

    def _all_of(self, scenario: Scenario, peer: str) -> list[Sample]:
        return [
            one for one in self.samples if one["scenario"] == scenario.key and one["peer"] == peer
        ]
