"""What the project asks of itself, and whether a run found it reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median

from . import words
from .measuring import Sample
from .peers import BY_KEY, OURS, OWN
from .results import Results
from .scenarios import BY_KEY as SCENARIO_BY_KEY
from .scenarios import LONG_S
from .tables import NOTHING, OTHERS, others_took, ranged, table


@dataclass(frozen=True)
class Target:
    """What the project asks of itself.

    Attributes:
        against: keys of peers, the best of which counts; with none, the figure itself is compared.
        least: the ratio, or the figure, that must be reached.
        goal: the one that is aimed at.
        of: which of our servers is meant.
    """

    scenario: str
    against: tuple[str, ...]
    least: float
    goal: float | None = None
    of: str = OURS


PURE_PYTHON = ("aiohttp", "websockets", "gevent-websocket", "flask-sock")
EVERY_PYTHON = ("picows", *PURE_PYTHON)

TARGETS: tuple[Target, ...] = (
    Target("echo1", ("uws",), 1.00, 1.10),
    Target("echo1", EVERY_PYTHON, 1.0),
    Target("echo16", ("uws",), 1.45, 1.60),
    Target("echo16", ("picows",), 4.0),
    Target("room1", ("uws",), 1.00, 1.10),
    Target("room32", ("uws",), 1.05, 1.10),
    Target("room32", EVERY_PYTHON, 20.0),
    Target("rooms50", ("uws",), 0.95, 1.0),
    Target("big-echo", ("uws",), 1.25, 1.45),
    Target("big-room", ("uws",), 1.0, 2.0),
    Target("wss-echo", ("picows",), 1.0, 1.2),
    Target("idle8000", (), 1_180, 1_000),
    Target("idle8000", (), 1_024, 900, OWN),
    Target("churn", ("gevent-websocket",), 1.2, 3.0),
    Target("churn", ("uws",), 0.50, 0.65, OWN),
    Target("storm10000", (), 1.0, 0.7, OWN),
    Target("http", ("falcon",), 0.95, 1.0),
    Target("http", ("flask",), 1.5),
    Target("http", (), 40_000, 60_000, OWN),
)

HEAD = (
    "what",
    "compared with",
    "asked for",
    "goal",
    "found (range)",
    f"{OTHERS} from us",
    f"{OTHERS} from them",
)

SLOWDOWN_AT_MOST = 2.0
GROWTH_AT_MOST = 64 << 20
SLOW_CONSUMER = 1013
CROWD_GROWTH_AT_MOST = (
    1 << 20
)  # what an allocator moves about; with 10,000 connections a leak is soon more
STORM_P99_AT_MOST_US = 100_000.0


def targets(results: Results) -> str:
    """Hold what was found against what is asked for, as a table."""
    rows = [row for target in TARGETS if (row := _row(results, target))]
    for key, rows_of in (
        ("slow-reader", _slow_reader_rows),
        ("crowd", _crowd_rows),
        ("reconnects", _storm_rows),
    ):
        samples = results.of(SCENARIO_BY_KEY[key], OURS)
        took = others_took(results, SCENARIO_BY_KEY[key], OURS)
        found = rows_of(samples) if samples else []
        rows += [[*row, took, NOTHING, verdict] for *row, verdict in found]
    return table([*HEAD, ""], rows) if rows else ""


def _row(results: Results, target: Target) -> list[str] | None:
    scenario = SCENARIO_BY_KEY[target.scenario]
    known = [key for key in target.against if results.of(scenario, key)]
    write: Callable[[float], str]
    if target.against:
        found, write = results.ratio(scenario, target.of, known), words.ratio
    else:
        found = results.spread(scenario, target.of, scenario.figure)
        write = partial(words.figure_of, scenario)
    if found is None:
        return None
    labels = ", ".join(BY_KEY[key].label for key in known) or NOTHING
    is_reached = (
        found.median <= target.least if scenario.is_lower_better else found.median >= target.least
    )
    goal = write(target.goal) if target.goal is not None else NOTHING
    return [
        scenario.title if target.of == OURS else f"{scenario.title}; {BY_KEY[target.of].label}",
        f"the best of {labels}" if len(known) > 1 else labels,
        write(target.least),
        goal,
        ranged(found, write),
        others_took(results, scenario, target.of),
        others_took(results, scenario, *known),
        _verdict(is_reached),
    ]


def _slow_reader_rows(samples: list[Sample]) -> list[list[str]]:
    slowdown = median(one["slowdown"] for one in samples)
    growth = max(one["growth_bytes"] for one in samples)
    codes = sorted({one["slow_close_code"] for one in samples})
    return [
        _limit(
            "a slow reader: the others' p99 with it and without",
            "at most 2",
            words.ratio(slowdown),
            slowdown <= SLOWDOWN_AT_MOST,
        ),
        _limit(
            "a slow reader: the worker grows by",
            "less than 64 MiB",
            words.size(growth),
            growth < GROWTH_AT_MOST,
        ),
        _limit(
            "a slow reader: closed with",
            f"{SLOW_CONSUMER}",
            ", ".join(str(code or "reset") for code in codes),
            codes == [SLOW_CONSUMER],
        ),
    ]


def _crowd_rows(samples: list[Sample]) -> list[list[str]]:
    one = samples[-1]
    title = f"10,000 connections for {one['seconds']:.0f} s: "
    memory, descriptors = one["memory_growth_bytes"], one["descriptor_growth"]
    greenlets = one.get("greenlet_growth", 0)  # a very short run asks only once
    rows = [
        _limit(f"{title}messages lost", "0", str(one["lost"]), one["lost"] == one["errors"] == 0),
        _limit(
            f"{title}memory grows by",
            "less than 1 MiB",
            words.size(memory),
            memory < CROWD_GROWTH_AT_MOST,
        ),
        _limit(f"{title}descriptors more", "0", str(descriptors), descriptors < 1),
        _limit(f"{title}greenlets more", "0", str(greenlets), greenlets <= 0),
    ]
    return rows if one["seconds"] >= LONG_S - 1 else [[*row[:-1], "needs `--long`"] for row in rows]


def _storm_rows(samples: list[Sample]) -> list[list[str]]:
    one = samples[-1]
    title = f"beside {one['reconnects_per_s']:.0f} reconnects a second: p99"
    is_reached = one["p99_us"] < STORM_P99_AT_MOST_US and not one["errors"]
    return [_limit(title, "less than 100 ms", words.latency(one["p99_us"]), is_reached)]


def _limit(title: str, asked: str, found: str, is_reached: bool) -> list[str]:
    return [title, NOTHING, asked, NOTHING, found, _verdict(is_reached)]


def _verdict(is_reached: bool) -> str:
    return "reached" if is_reached else "**not reached**"
