"""Writes results as Markdown tables, aligned so that a terminal shows them well too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median

from . import interpreter, words
from .measuring import Sample
from .peers import BASE, BY_KEY, OURS, OWN
from .results import Results, Spread
from .scenarios import BY_KEY as SCENARIO_BY_KEY
from .scenarios import Scenario

NOTHING = "–"
SATURATED = 0.97

SHORT_TITLES = {
    "echo1": "echo",
    "echo16": "echo, 16 at once",
    "room1": "room of 200",
    "room32": "the same, 32 at once",
    "rooms50": "50 rooms",
    "big-echo": "echo 32 KiB",
    "big-room": "room 32 KiB",
    "churn": "connect, echo, close",
    "storm10000": "10,000 come back",
    "wss-echo": "echo over TLS",
    "wss-room": "room of 50 over TLS",
    "deflate-echo": "echo 1 KiB, compressed",
    "deflate-room": "room 1 KiB, compressed",
    "idle8000": "memory of an idle connection",
}


def about(results: Results) -> str:
    """Say where, when and with what."""
    known = results.about
    box = known["machine"]
    lines = [
        f"{known['date']}, commit {known['commit']}: {box['processor']}, {box['cores']} cores, "
        f"{box['memory_gib']} GiB, {box['system']}, Linux {box['kernel']}.",
        ", ".join(f"{name} {version}" for name, version in known["versions"].items()) + ".",
    ]
    if "interpreter" in known:
        lines.append(f"{interpreter.describe(known['interpreter'])}.")
    if "engine" in known:
        lines.append(f"{interpreter.describe_engine(known['engine'])}.")
    lines.append(f"{rounds_of(results)} of {known['seconds']:g} s. {_noise(results)}")
    lines += [
        f"Not measured: {label}, because {reason}."
        for label, reason in known.get("missing", {}).items()
    ]
    lines += [
        f"Not measured: scenario {key}, because it {reason}."
        for key, reason in known.get("skipped", {}).items()
    ]
    return "\n".join(lines)


def when(results: Results) -> str:
    """Say when and of what the figures of a part are, where the page's head may be another's."""
    known = results.about
    by = f", by {interpreter.describe(known['interpreter'])}" if "interpreter" in known else ""
    taken = f"{rounds_of(results).lower()} of {known['seconds']:g} s"
    return f"Measured {known['date']}, commit {known['commit']}{by}: {taken}."


def rounds_of(results: Results) -> str:
    """Say how many rounds the figures are from."""
    number = results.about["rounds"]
    return "One round" if number == 1 else f"Medians of {number} interleaved rounds"


def _noise(results: Results) -> str:
    shares = [sample["foreign_cpu"] for sample in results.samples if "foreign_cpu" in sample]
    if not shares:
        return ""
    return (
        f"Other processes took {median(shares):.0%} of the servers' processor (median; at most "
        f"{max(shares):.0%})."
    )


def summary(results: Results) -> str:
    """Give one row a server: messages per second of its processor time."""
    shown = [SCENARIO_BY_KEY[key] for key in SHORT_TITLES if results.peers(SCENARIO_BY_KEY[key])]
    if not shown:
        return ""
    keys = list(dict.fromkeys(key for scenario in shown for key in results.peers(scenario)))
    keys = [key for key in BY_KEY if key in keys]
    rows = [
        [name_of(key), *(_figure(results, scenario, key) for scenario in shown)] for key in keys
    ]
    head = ["per second of server CPU", *(SHORT_TITLES[scenario.key] for scenario in shown)]
    return table(head, rows)


def detail(results: Results, scenario: Scenario) -> str:
    """Give one scenario: every server with its rates, latencies and how far the rounds are
    apart.
    """
    keys = results.peers(scenario)
    if not keys:
        return ""
    if scenario.kind in CALM:
        return CALM[scenario.kind](results, scenario)
    keys = sorted(
        (key for key in BY_KEY if key in keys), key=lambda key: _order(results, scenario, key)
    )
    base = next((key for key in (BASE, OURS, OWN) if key in keys), keys[0])
    columns = ROWS[scenario.kind]
    rows = [columns(results, scenario, key, base) for key in keys]
    against = f"× {BY_KEY[base].label} (range)"
    head = ["server", *(against if one == "×" else one for one in HEADS[scenario.kind])]
    head += [OTHERS, "rounds apart"]
    return f"### {capital(scenario.title)}\n\n{table(head, rows)}{notes(results, scenario, keys)}"


def _order(results: Results, scenario: Scenario, key: str) -> float:
    found = results.spread(scenario, key, scenario.figure)
    if found is None:
        return float("inf")
    return found.median if scenario.is_lower_better else -found.median


def _rate_row(results: Results, scenario: Scenario, key: str, base: str) -> list[str]:
    rate = results.spread(scenario, key, "per_s")
    latencies = [results.spread(scenario, key, name) for name in ("p50_us", "p99_us")]
    return [
        name_of(key),
        _figure(results, scenario, key),
        _against(results, scenario, key, base),
        words.count(rate.median) if rate else NOTHING,
        *(words.latency(one.median) if one else NOTHING for one in latencies),
        *ends(results, scenario, key),
    ]


def _idle_row(results: Results, scenario: Scenario, key: str, base: str) -> list[str]:
    rate = results.spread(scenario, key, "per_s")
    return [
        name_of(key),
        _figure(results, scenario, key),
        _against(results, scenario, key, base),
        words.count(rate.median) if rate else NOTHING,
        *ends(results, scenario, key),
    ]


def _storm_row(results: Results, scenario: Scenario, key: str, base: str) -> list[str]:
    lost = results.spread(scenario, key, "slow_connects")
    row = _rate_row(results, scenario, key, base)
    return [*row[:-2], words.count(lost.median) if lost else NOTHING, *row[-2:]]


RATE_HEAD = ("per CPU second", "×", "per second", "p50", "p99")
HEADS = {
    "http": RATE_HEAD,
    "closed_loop": RATE_HEAD,
    "idle": ("memory per connection", "×", "connects per s"),
    "storm": ("server CPU", "×", "connects per s", "p50", "p99", "over 0.9 s"),
}
ROWS = {"http": _rate_row, "closed_loop": _rate_row, "idle": _idle_row, "storm": _storm_row}
OTHERS = "others took"


def ends(results: Results, scenario: Scenario, key: str) -> list[str]:
    """Lay out the cells at the end of each row: how sure its figures are."""
    return [
        others_took(results, scenario, key),
        _apart(results.spread(scenario, key, scenario.figure)),
    ]


def others_took(results: Results, scenario: Scenario, *keys: str) -> str:
    """Give the shares that other processes took while a server was measured: of its processor, and
    of the load generator's. Medians of the rounds; of several servers, the largest.
    """
    return _shares(
        {name: found.median for name in FOREIGN if (found := results.spread(scenario, key, name))}
        for key in keys
    )


FOREIGN = ("foreign_cpu", "foreign_load_cpu")


def _shares(samples: Iterable[Sample]) -> str:
    known = list(samples)
    largest = [max((one[name] for one in known if name in one), default=None) for name in FOREIGN]
    return ", ".join(f"{share:.0%}" for share in largest if share is not None) or NOTHING


def _against(results: Results, scenario: Scenario, key: str, base: str) -> str:
    return ranged(results.ratio(scenario, key, [base])) if key != base else "1"


def notes(results: Results, scenario: Scenario, keys: Sequence[str]) -> str:
    """Say below a table what went wrong, and where the load generator was the limit."""
    said = []
    for key in keys:
        samples = results.of(scenario, key)
        errors = sum(sample["errors"] for sample in samples)
        if errors:
            first = next(
                sample["raw"].get("first_error", "") for sample in samples if sample["errors"]
            )
            said.append(f"{BY_KEY[key].label}: {errors} errors ({first})")
        said += [
            f"{BY_KEY[key].label}: not measured: {reason}"
            for reason in set(results.failures(scenario, key))
        ]
    saturated = [key for key in keys if _busy(results, scenario, key) > SATURATED]
    if saturated:
        labels = ", ".join(BY_KEY[key].label for key in saturated)
        said.append(f"The load generator was the bottleneck for the rate per second of: {labels}")
    return "".join(f"\n\n{note}." for note in said)


def _busy(results: Results, scenario: Scenario, key: str) -> float:
    found = results.spread(scenario, key, "generator_busy")
    return found.median if found else 0.0


# -- the scenarios about calm

Cells = Callable[[Sample], list[str]]


def _slow_reader_detail(results: Results, scenario: Scenario) -> str:
    head = [
        "server",
        "p99 without",
        "p99 with",
        "ratio",
        "memory without",
        "memory with",
        "slow one closed with",
    ]
    return _calm_detail(
        results,
        scenario,
        head,
        lambda one: [
            words.latency(one["p99_without_us"]),
            words.latency(one["p99_us"]),
            words.ratio(one["slowdown"]),
            words.growth(one["growth_without_bytes"]),
            words.growth(one["growth_bytes"]),
            str(one["slow_close_code"] or "reset"),
        ],
    )


def _crowd_detail(results: Results, scenario: Scenario) -> str:
    head = [
        "server",
        "seconds",
        "deliveries",
        "lost",
        "p50",
        "p99",
        "CPU",
        "memory",
        "descriptors",
        "greenlets",
    ]
    return _calm_detail(
        results,
        scenario,
        head,
        lambda one: [
            f"{one['seconds']:.0f}",
            f"{one['deliveries']:,}",
            str(one["lost"]),
            words.latency(one["p50_us"]),
            words.latency(one["p99_us"]),
            f"{one['server_cpu']:.0%}",
            words.growth(one["memory_growth_bytes"]),
            f"{one['descriptor_growth']:+.0f}",
            f"{one['greenlet_growth']:+}" if "greenlet_growth" in one else NOTHING,
        ],
    )


def _reconnects_detail(results: Results, scenario: Scenario) -> str:
    head = ["server", "reconnects per s", "their p99", "the room's p50", "the room's p99", "CPU"]
    return _calm_detail(
        results,
        scenario,
        head,
        lambda one: [
            f"{one['reconnects_per_s']:.0f}",
            words.latency(one["reconnect_p99_us"]),
            words.latency(one["p50_us"]),
            words.latency(one["p99_us"]),
            f"{one['server_cpu']:.0%}",
        ],
    )


def _calm_detail(results: Results, scenario: Scenario, head: list[str], cells: Cells) -> str:
    keys = results.peers(scenario)
    rows = [
        [name_of(key), *cells(one), _shares([one])]
        for key in keys
        for one in results.of(scenario, key)
    ]
    shown = table([*head, OTHERS], rows)
    return f"### {capital(scenario.title)}\n\n{shown}{notes(results, scenario, keys)}"


CALM = {
    "slow_reader": _slow_reader_detail,
    "crowd": _crowd_detail,
    "reconnects": _reconnects_detail,
}


# -- cells


def name_of(key: str) -> str:
    """Give a server's name, ours in bold."""
    return f"**{BY_KEY[key].label}**" if key == OURS else BY_KEY[key].label


def _figure(results: Results, scenario: Scenario, key: str) -> str:
    found = results.spread(scenario, key, scenario.figure)
    return words.figure_of(scenario, found.median) if found else NOTHING


def ranged(found: Spread | None, write: Callable[[float], str] = words.ratio) -> str:
    """Write a median, and where there are several rounds their range."""
    if found is None:
        return NOTHING
    if found.least == found.most:
        return write(found.median)
    return f"{write(found.median)} ({write(found.least)} to {write(found.most)})"


def _apart(found: Spread | None) -> str:
    return f"{found.width:.0%}" if found and found.width else NOTHING


def capital(text: str) -> str:
    """Begin with a capital."""
    return text[:1].upper() + text[1:]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a Markdown table; all columns but the first are aligned to the right."""
    body = [list(row) for row in rows]
    widths = [max(len(row[at]) for row in [list(head), *body]) for at in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(_line(row, widths) for row in [list(head), rule, *body])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    others = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return f"| {' | '.join([cells[0].ljust(widths[0]), *others])} |"
