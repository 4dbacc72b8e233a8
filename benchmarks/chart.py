"""Draws the results as one SVG: a small chart for each scenario, our bar in colour, uWebSockets' in
a darker grey.

It follows the reader's light or dark scheme by itself, and needs no library.
"""

from __future__ import annotations

from html import escape

from . import words
from .peers import BASE, BY_KEY, OURS, OWN
from .results import Results
from .scenarios import BY_KEY as SCENARIO_BY_KEY
from .scenarios import Scenario
from .tables import rounds_of

TITLES = {
    "echo1": ("Echo", "messages, 64 B, 100 connections, 1 outstanding"),
    "echo16": ("Echo, 16 outstanding", "messages, 64 B, 100 connections"),
    "big-echo": ("Echo of 32 KiB", "messages of text, 100 connections, 1 outstanding"),
    "room32": ("One room of 200", "deliveries, 64 B, 32 broadcasts outstanding"),
    "rooms50": ("50 rooms of 10", "deliveries, 64 B, 1 broadcast outstanding each"),
    "big-room": ("One room of 200, 32 KiB", "deliveries of text, 1 broadcast outstanding"),
    "churn": ("Connect, echo, close", "connections, 50 at once"),
    "storm10000": ("10,000 clients come back", "seconds of server CPU for all; less is better"),
    "wss-echo": ("Echo over TLS", "messages, 64 B, 50 connections, 1 outstanding"),
    "deflate-room": ("One room of 200, compressed", "deliveries of 1 KiB JSON, 1 outstanding"),
    "idle8000": ("Memory of an idle connection", "bytes with 8,000 connections; less is better"),
    "http": ("HTTP, JSON with a parameter", "requests, 50 keep-alive connections"),
}
"""The scenarios that are drawn, from left to right, and what is written above each."""

LEFT_OUT = frozenset({"prototype"})

COLUMNS = 3
WIDTH = 1_140
MARGIN = 28
HEADER = 84
FOOTER = 30
COLUMN_GAP = 36
PANEL_WIDTH = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * COLUMN_GAP) / COLUMNS
PANEL_HEAD = 46
PANEL_GAP = 30
BAR = 13
BAR_STEP = 20
LABEL = 128
VALUE = 62

STYLE = """
svg { color-scheme: light dark }
svg { font-family: system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif }
.paper { fill: #ffffff } .title { fill: #16202c; font-size: 22px; font-weight: 650 }
.head { fill: #16202c; font-size: 14px; font-weight: 600 } .note { fill: #5d6b7a; font-size: 12px }
.label, .value { fill: #3b4856; font-size: 12.5px } .ours { fill: #0b5fd3; font-weight: 650 }
.bar { fill: #b9c4cf } .bar-ours { fill: #1a73e8 } .bar-base { fill: #7d8b99 }
@media (prefers-color-scheme: dark) {
.paper { fill: #0f151c } .title, .head { fill: #eef3f8 } .note { fill: #93a1b0 }
.label, .value { fill: #c6d0da } .ours { fill: #7db4ff } .bar { fill: #45525f }
.bar-ours { fill: #4f97f7 } .bar-base { fill: #8896a4 }
}
"""


def draw(results: Results) -> str:
    """Give the SVG of all scenarios in `TITLES` that were measured."""
    shown = [
        (SCENARIO_BY_KEY[key], bars)
        for key in TITLES
        if (bars := _bars(results, SCENARIO_BY_KEY[key]))
    ]
    tallest = max((len(bars) for _, bars in shown), default=0)
    panel_height = PANEL_HEAD + tallest * BAR_STEP
    rows = -(-len(shown) // COLUMNS)
    height = HEADER + rows * panel_height + (rows - 1) * PANEL_GAP + FOOTER + MARGIN
    parts = [_opening(height), *_header(results, height)]
    for at, (scenario, bars) in enumerate(shown):
        x = MARGIN + (at % COLUMNS) * (PANEL_WIDTH + COLUMN_GAP)
        y = HEADER + (at // COLUMNS) * (panel_height + PANEL_GAP)
        parts.append(f'<g transform="translate({x:.1f} {y})">')
        parts += [*_panel(scenario, bars), "</g>"]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _bars(results: Results, scenario: Scenario) -> list[tuple[str, float]]:
    """The servers of one panel with their figures, the best first."""
    found = {
        key: spread.median
        for key in results.peers(scenario)
        if key not in LEFT_OUT and (spread := results.spread(scenario, key, scenario.figure))
    }
    return sorted(found.items(), key=lambda bar: bar[1], reverse=not scenario.is_lower_better)


def _opening(height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" '
        'role="img" aria-label="What one second of server CPU does, by scenario and '
        f'server">\n<style>{STYLE}</style>'
    )


def _header(results: Results, height: float) -> list[str]:
    known = results.about
    box = known["machine"]
    where = f"{known['date']}, {box['processor']}, one core for the server and one for the load"
    return [
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="10"/>',
        _text("title", MARGIN, 40, "What one second of server CPU does"),
        _text(
            "note",
            MARGIN,
            62,
            "One server process on one core. A longer bar is better, but for memory and seconds.",
        ),
        _text("note", MARGIN, height - 18, f"{where}. {rounds_of(results)}."),
        _text("note", WIDTH - MARGIN, height - 18, "dark grey: uWebSockets, in C++", anchor="end"),
    ]


def _panel(scenario: Scenario, bars: list[tuple[str, float]]) -> list[str]:
    head, note = TITLES[scenario.key]
    room = PANEL_WIDTH - LABEL - VALUE
    longest = max(figure for _, figure in bars) or 1.0
    parts = [_text("head", 0, 12, head), _text("note", 0, 29, note)]
    for at, (key, figure) in enumerate(bars):
        parts += _bar(
            scenario, key, figure, PANEL_HEAD + at * BAR_STEP, max(1.5, room * figure / longest)
        )
    return parts


def _bar(scenario: Scenario, key: str, figure: float, y: float, length: float) -> list[str]:
    kind = {OURS: " ours", OWN: " ours", BASE: " base"}.get(key, "")
    bar = f"bar-{kind.strip()}" if kind else "bar"
    own = " ours" if key in (OURS, OWN) else ""
    middle = y + BAR - 2.5
    return [
        _text(f"label{own}", LABEL - 8, middle, BY_KEY[key].label, anchor="end"),
        f'<rect class="{bar}" x="{LABEL}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2"/>',
        _text(f"value{own}", LABEL + length + 6, middle, words.figure_of(scenario, figure)),
    ]


def _text(kind: str, x: float, y: float, text: str, *, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'
