"""The command: `python -m benchmarks`, which `make bench` runs."""

from __future__ import annotations

import argparse
import datetime
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import chart, interpreter, machine, publishing
from .measuring import Bench
from .peers import BY_KEY, OURS, PEERS, PROTOTYPE, ROOT, Peer, is_ours
from .results import Results
from .runner import Plan, run
from .scenarios import BY_KEY as SCENARIO_BY_KEY
from .scenarios import QUICK_PEERS, QUICK_SCENARIOS, SCENARIOS, Scenario
from .setting_up import CACHE, SetupError, say, set_up

ROUNDS = 5
SECONDS = 2.0


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, or read results, and print tables.

    Returns:
        0; 1 when nothing could be measured; 130 when interrupted, after the tables of what there
        was.
    """
    options = _parser().parse_args(argv)
    options.rounds = options.rounds or (1 if options.quick else ROUNDS)
    options.seconds = options.seconds or (1.0 if options.quick else SECONDS)
    if options.list:
        print(_what_there_is())
        return 0
    if options.report:
        return _show(Results.read(*options.report), options)
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # ends what it has started, as ^C does
    try:
        return _measure(options)
    except SetupError as error:
        say(str(error))
        return 1


def _measure(options: argparse.Namespace) -> int:
    plan = _plan(options)
    kit = set_up(
        [peer for peer in PEERS if any(peer in takers for _, takers in plan)],
        installs=not options.no_install,
    )
    about_build = {"interpreter": kit.interpreter, "engine": kit.engine}
    if options.publish and (objection := interpreter.objection(about_build)):
        raise SetupError(f"not to be published, so not measured: {objection}")
    limit = machine.raise_descriptor_limit()
    skipped = {
        one.key: f"needs {one.descriptors:,} descriptors"
        for one, _ in plan
        if one.descriptors > limit
    }
    cpus = machine.choose_cpus()
    os.sched_setaffinity(0, {cpus.load})  # this process too stays away from the servers
    bench = Bench(kit, cpus, options.seconds, min(0.7, options.seconds), options.long)
    results = Results(_about(kit.versions, kit.missing, skipped, options) | about_build)
    path = options.results or CACHE / f"results-{datetime.datetime.now():%Y-%m-%d-%H%M%S}.json"
    code = 0
    try:
        possible = [
            (scenario, [peer for peer in takers if peer.key not in kit.missing])
            for scenario, takers in plan
            if scenario.key not in skipped
        ]
        run(bench, possible, options.rounds, results, path)
    except KeyboardInterrupt:
        code = 130
    results.about["load_after"] = machine.load_average()
    results.write(path)
    say(f"results are in {path}")
    shown = _show(results, options)
    return code or shown


def _show(results: Results, options: argparse.Namespace) -> int:
    print(publishing.report(results))
    if options.chart:
        options.chart.write_text(chart.draw(results))
    if options.publish:
        if objection := interpreter.objection(results.about):
            say(f"not published: {objection}")
            return 1
        for note in publishing.publish(results):
            say(note)
    return 0 if any("failure" not in sample for sample in results.samples) else 1


def _about(
    versions: dict[str, str],
    missing: dict[str, str],
    skipped: dict[str, str],
    options: argparse.Namespace,
) -> dict[str, Any]:
    return {
        "date": datetime.date.today().isoformat(),
        "commit": _commit(),
        "machine": machine.describe(),
        "versions": versions,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "missing": {BY_KEY[key].label: reason for key, reason in missing.items()},
        "skipped": skipped,
        "load_before": machine.load_average(),
    }


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty=+"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


# -- the command line


def _plan(options: argparse.Namespace) -> Plan:
    """Say which servers take part in which scenario."""
    peers = _chosen_peers(options)
    is_all_named = bool(options.only and options.peers)
    return [
        (
            one,
            [
                peer
                for peer in peers
                if one.takes(peer)
                and (options.peers or one.wants(peer))
                and (is_all_named or not one.is_ours_alone or is_ours(peer))
            ],
        )
        for one in _chosen_scenarios(options)
    ]


def _chosen_scenarios(options: argparse.Namespace) -> list[Scenario]:
    if options.only:
        return [SCENARIO_BY_KEY[key] for key in SCENARIO_BY_KEY if _is_named(key, options.only)]
    if options.quick:
        return [one for one in SCENARIOS if one.key in QUICK_SCENARIOS]
    return [one for one in SCENARIOS if one.is_default]


def _chosen_peers(options: argparse.Namespace) -> list[Peer]:
    if options.peers:
        return [peer for peer in PEERS if peer.key in options.peers]
    here = [peer for peer in PEERS if peer.key != "prototype" or PROTOTYPE.is_dir()]
    return [peer for peer in here if not options.quick or peer.key in QUICK_PEERS]


def _is_named(key: str, names: Sequence[str]) -> bool:
    """`echo` names echo1 and echo16, `idle8000` only itself."""
    return any(
        key == name or (name not in SCENARIO_BY_KEY and key.startswith(name)) for name in names
    )


def _names(
    known: Sequence[str], *, prefixes: bool = False
) -> Any:  # Any: what argparse calls a type
    def parse(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in known and not (prefixes and any(one.startswith(name) for one in known)):
                raise argparse.ArgumentTypeError(
                    f"unknown: {name!r}, expected some of {', '.join(known)}"
                )
        return names

    return parse


def _positive(kind: type[int] | type[float]) -> Any:  # Any: what argparse calls a type
    def parse(text: str) -> float:
        value = kind(text)
        if value <= 0:
            raise argparse.ArgumentTypeError(f"{text}, expected more than 0")
        return value

    return parse


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure tina4_wsgi and its peers side by side on this machine.",
    )
    add = parser.add_argument
    scenario_names = _names([one.key for one in SCENARIOS], prefixes=True)
    add(
        "--only",
        type=scenario_names,
        metavar="NAMES",
        help="these scenarios, by commas; the beginning will do",
    )
    add(
        "--peers",
        type=_names(list(BY_KEY)),
        metavar="NAMES",
        help=f"these servers, by commas, as {OURS},uws,picows",
    )
    add(
        "--rounds",
        type=_positive(int),
        default=None,
        help=f"how often each is measured (default: {ROUNDS})",
    )
    add(
        "--seconds",
        type=_positive(float),
        default=None,
        help=f"how long a sample is (default: {SECONDS:g})",
    )
    add(
        "--quick",
        action="store_true",
        help="one short round of some scenarios and servers: under three minutes",
    )
    add("--long", action="store_true", help="give crowd its ten minutes, and reconnects its one")
    add("--list", action="store_true", help="name the scenarios and servers, and end")
    add(
        "--results",
        type=Path,
        metavar="FILE",
        help="where the numbers go, as JSON (default: in .cache/bench)",
    )
    add(
        "--report",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="measure nothing, show these results together",
    )
    add("--chart", type=Path, metavar="FILE", help="draw an SVG too")
    add("--publish", action="store_true", help="put what was measured into docs/performance.md")
    add("--no-install", action="store_true", help="install nothing, and use this interpreter")
    return parser


def _what_there_is() -> str:
    lines = ["scenarios:"]
    lines += [f"  {one.key:<16} {one.title}" for one in SCENARIOS]
    lines += ["servers:"]
    lines += [f"  {peer.key:<16} {peer.label} ({peer.language})" for peer in PEERS]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
