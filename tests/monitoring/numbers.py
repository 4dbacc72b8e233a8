"""Reads what /metrics answers, by the library that Prometheus' own users read it with."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families


class Numbers:
    """The samples of one answer; `numbers("tina4_closes_total", code="1000")` adds those up that
    match.
    """

    def __init__(self, text: str) -> None:
        self.samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def __call__(self, name: str, **labels: str) -> float | None:
        """Give the sum of the samples of that name with these labels, None if there is none."""
        found = [
            sample.value
            for sample in self.samples
            if sample.name == name
            and all(sample.labels.get(key) == value for key, value in labels.items())
        ]
        return sum(found) if found else None

    @property
    def label_values(self) -> set[str]:
        """All values of all labels, but for the bounds of buckets."""
        return {value for one in self.samples for key, value in one.labels.items() if key != "le"}
