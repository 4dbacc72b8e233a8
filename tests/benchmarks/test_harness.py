"""The benchmarks run, and compute what they say they do. Nothing here asserts how fast anything
is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import pytest

from benchmarks import chart, deflating, publishing, tables
from benchmarks.machine import choose_cpus
from benchmarks.measuring import Bench, LoadError, read_wrk
from benchmarks.peers import BY_KEY, FOLDER, OURS, OWN, PEERS, ROOT, Peer
from benchmarks.results import Results, Spread
from benchmarks.runner import take
from benchmarks.scenarios import BY_KEY as SCENARIO_BY_KEY
from benchmarks.scenarios import HISTORY
from benchmarks.setting_up import Kit
from benchmarks.targets import TARGETS, targets

ECHO = SCENARIO_BY_KEY["echo1"]
IDLE = SCENARIO_BY_KEY["idle8000"]
ABOUT = {
    "date": "2000-01-01",
    "commit": "0",
    "machine": {
        "processor": "abacus",
        "cores": 1,
        "memory_gib": 1,
        "system": "none",
        "kernel": "0",
    },
    "versions": {},
    "rounds": 3,
    "seconds": 1,
}


def sample(peer: str, number: int, figure: float, scenario: str = "echo1") -> dict[str, object]:
    field = SCENARIO_BY_KEY[scenario].figure
    return {
        "scenario": scenario,
        "peer": peer,
        "round": number,
        field: figure,
        "errors": 0,
        "raw": {},
    }


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "benchmarks", "--no-install", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.deadline(60)
def test_a_scenario_is_measured_against_ours_and_drawn(tmp_path):
    numbers, drawing = tmp_path / "numbers.json", tmp_path / "chart.svg"

    done = bench(
        "--only",
        "echo1",
        "--peers",
        OURS,
        "--rounds",
        "1",
        "--seconds",
        "0.2",
        "--results",
        str(numbers),
        "--chart",
        str(drawing),
    )

    assert done.returncode == 0, done.stderr
    (found,) = json.loads(numbers.read_text())["samples"]
    assert found["errors"] == 0
    assert found["raw"]["msgs"] > 0
    assert found["per_s"] > 0
    assert "tina4_wsgi" in done.stdout
    assert xml.etree.ElementTree.parse(drawing).getroot().tag.endswith("svg")


def test_a_server_that_does_not_start_says_why():
    bench_of_nothing = Bench(Kit(Path(sys.executable), Path("no-generator")), choose_cpus())
    peer = Peer("nobody", "nobody", "Python", "python", "no_such_server.py")

    found = take(bench_of_nothing, ECHO, peer)

    assert found["failure"].startswith("it did not start: ")
    assert "no_such_server.py" in found["failure"]


def test_an_unknown_scenario_is_refused_with_what_there_is():
    done = bench("--only", "swim")

    assert done.returncode == 2
    assert "unknown: 'swim', expected some of echo1," in done.stderr


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.key)
def test_every_server_has_its_file(peer):
    module = peer.target.partition(":")[0]

    assert (FOLDER / module).is_file() or (FOLDER / f"{module}.py").is_file()


def test_targets_name_scenarios_and_servers_that_exist():
    assert {target.scenario for target in TARGETS} <= set(SCENARIO_BY_KEY)
    assert {key for target in TARGETS for key in target.against} <= set(BY_KEY)


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds():
    figures = {OURS: (10, 40, 90), "uws": (20, 50, 100), "ws": (40, 10, 10)}
    results = Results(
        ABOUT,
        [sample(peer, at, one) for peer, row in figures.items() for at, one in enumerate(row)],
    )

    assert results.ratio(ECHO, OURS, ["uws"]) == Spread(0.8, 0.5, 0.9)
    assert results.ratio(ECHO, OURS, ["uws", "ws"]) == Spread(0.8, 0.25, 0.9)


def test_a_round_in_which_one_side_failed_has_no_ratio():
    samples = [sample(OURS, 0, 10), sample(OURS, 1, 10), sample("uws", 1, 20)]
    samples.append({"scenario": "echo1", "peer": "uws", "round": 0, "failure": "it fell over"})
    results = Results(ABOUT, samples)

    assert results.ratio(ECHO, OURS, ["uws"]) == Spread(0.5, 0.5, 0.5)
    assert "uWebSockets: not measured: it fell over." in tables.detail(results, ECHO)


def test_of_memory_the_least_is_the_best():
    results = Results(
        ABOUT, [sample(OURS, 0, 1_100, "idle8000"), sample("uws", 0, 550, "idle8000")]
    )

    assert results.ratio(IDLE, OURS, ["uws", "ws"]) == Spread(2.0, 2.0, 2.0)
    assert [cell.strip() for cell in targets(results).splitlines()[2].split("|")[3:-1]] == [
        "1.15 KiB",
        "1000 B",
        "1.07 KiB",
        "–",
        "–",
        "reached",
    ]


def test_what_is_asked_of_our_own_server_is_held_against_its_own_figures():
    results = Results(
        ABOUT, [sample(OURS, 0, 9.0, "storm10000"), sample(OWN, 0, 0.9, "storm10000")]
    )

    (row,) = targets(results).splitlines()[2:]

    assert [cell.strip() for cell in row.split("|")[1:-1]] == [
        "10,000 clients come back at once; tina4_wsgi serve",
        "–",
        "1.00 s",
        "0.70 s",
        "0.90 s",
        "–",
        "–",
        "reached",
    ]


def test_a_row_says_what_others_took_from_both_sides():
    ours = sample(OURS, 0, 100) | {"foreign_cpu": 0.04, "foreign_load_cpu": 0.0}
    theirs = sample("uws", 0, 200) | {"foreign_cpu": 0.31, "foreign_load_cpu": 0.12}
    results = Results(ABOUT, [ours, theirs])

    rows = [row.split("|") for row in tables.detail(results, ECHO).splitlines() if "|" in row]
    at = [cell.strip() for cell in rows[0]].index("others took")

    assert [row[at].strip() for row in rows[2:]] == ["31%, 12%", "4%, 0%"]
    assert [cell.strip() for cell in targets(results).splitlines()[2].split("|")[6:8]] == [
        "4%, 0%",
        "31%, 12%",
    ]


def test_of_a_storm_the_seconds_of_processor_time_are_compared():
    storm = SCENARIO_BY_KEY["storm10000"]
    more = {"per_s": 5_000, "p50_us": 10, "p99_us": 2e6, "slow_connects": 12}
    results = Results(
        ABOUT,
        [sample(OURS, 0, 1.5, storm.key) | more, sample("uws", 0, 0.5, storm.key) | more],
    )

    rows = [row.split("|") for row in tables.detail(results, storm).splitlines() if "|" in row]

    assert [cell.strip() for cell in rows[3][1:-1]] == [
        "**tina4_wsgi**",
        "1.50 s",
        "3.00",
        "5.00 k",
        "10 µs",
        "2.00 s",
        "12.0",
        "–",
        "–",
    ]


def test_servers_that_are_no_default_ones_are_measured_where_a_scenario_wants_them():
    wanted = {
        key: [
            peer.key
            for peer in PEERS
            if not peer.is_default and one.takes(peer) and one.wants(peer)
        ]
        for key, one in SCENARIO_BY_KEY.items()
    }

    assert wanted["echo1"] == []
    assert wanted["churn"] == wanted["storm10000"] == wanted["http"] == ["tina4-own"]
    assert wanted["wss-echo"] == ["tina4-own", "uvicorn"]


def test_servers_with_a_thread_for_each_connection_are_asked_to_hold_200():
    taken = {key for key, one in SCENARIO_BY_KEY.items() if one.takes(BY_KEY["flask-sock-gthread"])}

    assert {"echo1", "echo16", "room1", "room32", "churn", "idle200"} <= taken
    assert not {"rooms50", "idle8000", "storm10000"} & taken


@pytest.mark.parametrize(("key", "mode"), [("wss-room", "tls"), ("deflate-room", "deflate")])
def test_only_servers_that_can_take_part(key, mode):
    taking = {peer.key for peer in PEERS if SCENARIO_BY_KEY[key].takes(peer)}

    assert taking == {peer.key for peer in PEERS if mode in peer.modes}
    assert len(taking) > 3


def test_later_results_replace_the_scenarios_of_earlier_ones(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    Results(ABOUT, [sample(OURS, 0, 1), sample(OURS, 0, 2, "idle8000")]).write(first)
    Results({**ABOUT, "date": "2000-01-02"}, [sample(OURS, 0, 3)]).write(second)

    both = Results.read(first, second)

    assert [(one["scenario"], one["round"]) for one in both.samples] == [
        ("echo1", 0),
        ("idle8000", 0),
    ]
    assert both.of(ECHO, OURS)[0]["per_cpu_s"] == 3
    assert both.about["date"] == ABOUT["date"]


def test_the_chart_shows_all_that_was_measured():
    results = Results(
        ABOUT, [sample(OURS, 0, 1_000), sample("uws", 0, 2_000), sample(OURS, 0, 10, "idle8000")]
    )

    drawn = chart.draw(results)

    assert drawn.count('class="head"') == 2
    assert ">uWebSockets<" in drawn
    assert ">2.00 k<" in drawn


def test_the_page_has_the_marks_that_publishing_fills():
    text = publishing.PAGE.read_text()

    for name in ("about", "summary", "targets", "history", "details"):
        text = publishing.fill(text, name, f"the {name}")

    assert "<!-- targets: begin -->\n\nthe targets\n\n<!-- targets: end -->" in text


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Have results published in a folder of the test, in a page with a word in each part."""
    monkeypatch.setattr(publishing, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(publishing, "CHART", tmp_path / "chart.svg")
    parts = ("about", "summary", "targets", "history", "details")
    publishing.PAGE.write_text(
        "".join(f"<!-- {name}: begin -->\nold {name}\n<!-- {name}: end -->\n" for name in parts)
    )
    return publishing.PAGE


def part_of(page, name):
    return publishing.between(page.read_text(), name)


def everything_of(scenarios):
    return [sample(OURS, 0, 1_000, one.key) | MORE[one.kind] for one in scenarios if one.is_default]


RATES = {"per_s": 1.0, "p50_us": 1.0, "p99_us": 1.0}
MORE = {
    "closed_loop": RATES,
    "coming": {},
    "http": RATES,
    "idle": {"per_s": 1.0},
    "storm": {**RATES, "slow_connects": 0},
    "slow_reader": {
        "p99_without_us": 1.0,
        "slowdown": 1.0,
        "growth_bytes": 1,
        "growth_without_bytes": 1,
        "slow_close_code": 1013,
    },
    "crowd": {
        **RATES,
        "seconds": 30.0,
        "deliveries": 1,
        "lost": 0,
        "server_cpu": 0.1,
        "memory_growth_bytes": 1,
        "descriptor_growth": 0,
    },
    "reconnects": {
        **RATES,
        "reconnects_per_s": 1.0,
        "reconnect_p99_us": 1.0,
        "server_cpu": 0.1,
    },
}


def test_a_part_that_is_published_keeps_the_others(page):
    publishing.publish(Results(ABOUT, [sample(OURS, 0, 1_000, "echo16")]))

    left = publishing.publish(Results(ABOUT, [sample(OURS, 0, 2_000)]))

    assert [part_of(page, name) for name in ("about", "summary", "targets", "history")] == [
        "old about",
        "old summary",
        "old targets",
        "old history",
    ]
    assert not publishing.CHART.exists()
    first, second = part_of(page, "details").split("### ")[1:]
    assert first.startswith("Echo, 64 B, 100 connections, 1 outstanding\n")
    assert "2.00 k" in first
    assert second.startswith("Echo, 64 B, 100 connections, 16 outstanding\n")
    assert "1.00 k" in second
    assert second.endswith("Measured 2000-01-01, commit 0: medians of 3 interleaved rounds of 1 s.")
    assert left[0].startswith("head, summary, targets and chart are as they were, for want of ")


def test_a_run_of_everything_replaces_the_head_and_what_sums_up(page):
    left = publishing.publish(Results(ABOUT, everything_of(publishing.ALONE)))

    text = page.read_text()
    assert "old about" not in text
    assert "old summary" not in text
    assert "old targets" not in text
    assert "old history" in text
    assert "Measured 2000" not in part_of(page, "details")
    assert publishing.CHART.exists()
    assert left[0].startswith("history is as it was, for want of kept1, kept32, ")


def test_history_is_published_once_all_of_it_was_measured(page):
    both = {"without": 2_000, "ratio": 0.5}
    samples = [one | both for one in everything_of(HISTORY)]

    publishing.publish(Results(ABOUT, samples[:-1]))
    is_early = "old history" not in page.read_text()
    publishing.publish(Results(ABOUT, samples))

    shown = part_of(page, "history")
    assert not is_early
    assert part_of(page, "summary") == "old summary"
    assert shown.startswith("Measured 2000-01-01, commit 0: ")
    assert [cell.strip() for cell in shown.splitlines()[4].split("|")[1:-1]] == [
        "History: a path of 200, 64 B, 1 broadcast outstanding",
        "**tina4_wsgi**",
        "deliveries per CPU second",
        "2.00 k",
        "1.00 k",
        "0.50",
        "–",
        "–",
    ]


def test_scenarios_of_history_have_no_table_besides():
    shown = publishing.report(Results(ABOUT, [sample(OURS, 0, 1_000, "kept1") | {"without": 10}]))

    assert shown.count("a path of 200, 64 B, 1 broadcast outstanding") == 1


def test_a_report_of_wrk_is_read():
    report = (
        "  Latency Distribution\n     50%    6.55ms\n     75%    7.00ms\n     99%    1.20s \n"
        "  15105 requests in 2.00s, 2.42MB read\n  Non-2xx or 3xx responses: 3\nRequests/sec:   "
        "7552.50\n"
    )

    assert read_wrk(report) == {
        "requests": 15_105,
        "per_s": 7552.5,
        "p50_us": 6_550,
        "p99_us": 1_200_000,
        "errors": 3,
    }
    with pytest.raises(LoadError, match="unable to connect"):
        read_wrk("unable to connect")


def test_the_harness_needs_no_package(tmp_path):
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import benchmarks.__main__"
    command = [sys.executable, "-I", "-S", "-c", script]

    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False
    )

    assert done.stderr == ""


def test_readme_lists_every_server():
    text = (Path(publishing.__file__).parent / "README.md").read_text()

    assert [peer.key for peer in PEERS if f"`{peer.key}`" not in text] == []


def test_what_compression_costs_is_shown_for_each_setting(capsys):
    assert deflating.main(["--runs", "1"]) == 0

    rows = [row.split("|") for row in capsys.readouterr().out.splitlines()]
    cells = [[cell.strip() for cell in row[1:-1]] for row in rows[2:]]
    assert [(one[0], one[1]) for one in cells][:3] == [("6", "8"), ("1", "8"), ("6", "5")]
    assert int(cells[0][4]) < int(cells[1][4]) < 400
    assert cells[0][3] == "1.00"
