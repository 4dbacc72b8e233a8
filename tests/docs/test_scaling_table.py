"""The tables of docs/scaling.md are what the scripts print, and the model does what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import scaling

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "scaling.md").read_text()


def test_the_table_is_the_models():
    lines = PAGE.splitlines()

    assert [line for line in scaling.table() if line not in lines] == []


@pytest.mark.parametrize("name", scaling.Costs._fields)
def test_each_cost_is_told(name):
    assert f"| `{name}` | {getattr(scaling.COSTS, name):g} |" in PAGE


def test_a_path_is_on_no_more_workers_than_there_are_or_than_it_has_members():
    assert scaling.Site(400, 1, 5).workers_per_path == pytest.approx(5, abs=0.1)
    assert scaling.Site(4, 1, 10_000).workers_per_path == pytest.approx(4)


def test_one_worker_pays_nothing_for_others():
    site = scaling.Site(1, 1, 1)

    assert scaling.bus(site).worker == scaling.COSTS.say
