"""Sums: how values are added up, and what goes into JSON and comes back."""

from __future__ import annotations

import json

import pytest

from tina4_wsgi.monitoring.metrics import FAMILIES, Sums
from tina4_wsgi.websocket.counters import Histogram


def histogram_of(*values: int) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


def test_values_of_the_same_labels_are_added_up():
    sums = Sums()

    sums.count("closes", 1, "/a", 1000)
    sums.count("closes", 2, "/a", 1000)
    sums.count("closes", 4, "/a", 1001)
    sums.gauge("workers", 1)
    sums.gauge("workers", 1)

    assert sums.counters == {"closes": {"/a\n1000": 3, "/a\n1001": 4}}
    assert sums.gauges == {"workers": {"": 2}}


def test_histograms_are_added_up_bucket_by_bucket():
    sums = Sums()

    sums.observe("callback_seconds", histogram_of(1, 2), "/a", "open")
    sums.observe("callback_seconds", histogram_of(2), "/a", "open")

    *counts, total = sums.histograms["callback_seconds"]["/a\nopen"]
    assert (counts[:4], total) == ([0, 1, 2, 0], 5)


def test_a_histogram_that_goes_on_counting_does_not_change_what_was_added():
    histogram, sums = histogram_of(1), Sums()
    sums.observe("fanout_members", histogram)

    histogram.add(1)

    assert sums.histograms["fanout_members"][""][1] == 1


def filled() -> Sums:
    sums = Sums()
    sums.count("closes", 1, "/a", 1000)
    sums.gauge("workers", 1)
    sums.observe("fanout_members", histogram_of(3))
    return sums


def test_sums_are_added_to_sums():
    total = Sums()

    for _ in range(2):
        total.add(filled())

    assert total.counters == {"closes": {"/a\n1000": 2}}
    assert total.gauges == {"workers": {"": 2}}
    assert total.histograms["fanout_members"][""][2] == 2


def test_sums_go_into_json_and_come_back():
    told = json.loads(json.dumps(filled().as_dict()))

    assert Sums.from_dict(told).as_dict() == filled().as_dict()


@pytest.mark.parametrize(
    "change",
    [
        {"counters": None},
        {"counters": {"closes": {"/a": "many"}}},
        {"gauges": {"workers": 1}},
        {"histograms": {"fanout_members": {"": ["one"]}}},
        {"histograms": {"fanout_members": {"": 1}}},
    ],
)
def test_anything_else_is_refused(change):
    with pytest.raises((KeyError, TypeError, ValueError)):
        Sums.from_dict({**filled().as_dict(), **change})


def test_of_some_gauges_that_of_all_is_the_highest():
    total = Sums()
    for size in (3, 7, 5):
        one = Sums()
        one.raise_to("history_bytes", size)
        total.add(one)

    assert total.highest == {"history_bytes": {"": 7}}


def test_a_worker_of_an_earlier_version_knows_of_no_highest():
    told = filled().as_dict()
    del told["highest"]

    assert Sums.from_dict(told).as_dict() == filled().as_dict()


def test_a_part_that_is_missing_is_refused():
    with pytest.raises(KeyError, match="gauges"):
        Sums.from_dict({"counters": {}, "histograms": {}})


def test_each_family_has_a_name_of_its_own_and_a_known_kind():
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    assert {family.kind for family in FAMILIES} == {
        "counter",
        "gauge",
        "highest",
        "seconds",
        "sizes",
    }
