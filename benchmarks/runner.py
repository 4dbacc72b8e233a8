"""Runs scenarios in interleaved rounds: each round measures every server once, one after the
other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from . import calm, measuring, returning
from .measuring import Bench, LoadError, Sample
from .peers import Peer
from .results import Results
from .scenarios import Scenario
from .servers import ServerError, running
from .setting_up import say
from .words import figure_of

KINDS = {
    "closed_loop": measuring.closed_loop,
    "idle": measuring.idle,
    "storm": measuring.storm,
    "coming": returning.coming,
    "http": measuring.http,
    "crowd": calm.crowd,
    "reconnects": calm.reconnects,
}


Plan = Sequence[tuple[Scenario, Sequence[Peer]]]


def run(bench: Bench, plan: Plan, rounds: int, results: Results, path: Path) -> None:
    """Take all samples, and write the results after each, so that a run that is stopped has not
    been for nothing.
    """
    for number in range(rounds):
        for scenario, peers in plan:
            if number >= scenario.most_rounds:
                continue
            # There and back again, so that neighbours stay neighbours, and a machine that gets
            # slower is fair.
            for peer in peers if number % 2 == 0 else reversed(peers):
                sample = take(bench, scenario, peer)
                sample |= {"scenario": scenario.key, "peer": peer.key, "round": number}
                results.samples.append(sample)
                results.write(path)
                say(
                    f"round {number + 1}/{rounds}  {scenario.key:<12} {peer.label:<17} "
                    f"{_in_short(scenario, sample)}"
                )


def take(bench: Bench, scenario: Scenario, peer: Peer) -> Sample:
    """Take one sample of a fresh server; what goes wrong is the sample."""
    try:
        if scenario.kind == "slow_reader":
            return _beside_a_slow_reader(bench, scenario, peer)
        if scenario.without:
            return _beside_a_plain_one(bench, scenario, peer)
        with running(peer, bench.kit, bench.cpus.server, scenario.mode) as server:
            return KINDS[scenario.kind](bench, scenario, server)
    except (ServerError, LoadError, OSError) as error:
        return {"failure": str(error)}


def _beside_a_slow_reader(bench: Bench, scenario: Scenario, peer: Peer) -> Sample:
    """The same load twice, each on a fresh server: without a slow reader, then with one."""
    with running(peer, bench.kit, bench.cpus.server) as server:
        without = calm.slow_reader(bench, scenario, server, is_with_one=False)
    with running(peer, bench.kit, bench.cpus.server) as server:
        sample = calm.slow_reader(bench, scenario, server, is_with_one=True)
    return {
        **sample,
        "errors": sample["errors"] + without["errors"],
        "p99_without_us": without["p99_us"],
        "growth_without_bytes": without["growth_bytes"],
        "slowdown": sample["p99_us"] / without["p99_us"],
    }


def _beside_a_plain_one(bench: Bench, scenario: Scenario, peer: Peer) -> Sample:
    """The load without what is to be measured, then with it, each on a fresh server."""
    plain = replace(scenario, load=scenario.without, without=())
    without = take(bench, plain, peer)
    if "failure" in without:
        return without
    with running(peer, bench.kit, bench.cpus.server, scenario.mode) as server:
        sample = KINDS[scenario.kind](bench, scenario, server)
    before, after = without[scenario.figure], sample[scenario.figure]
    return {
        **sample,
        **{name: max(sample[name], without[name]) for name in ("foreign_cpu", "foreign_load_cpu")},
        "errors": sample["errors"] + without["errors"],
        "without": before,
        "ratio": after / before if before else 0.0,
    }


def _in_short(scenario: Scenario, sample: Sample) -> str:
    if "failure" in sample:
        return f"failed: {sample['failure']}"
    parts = [figure_of(scenario, sample[scenario.figure])]
    if "without" in sample:
        parts.append(f"{figure_of(scenario, sample['without'])} without")
    if "foreign_cpu" in sample:
        parts.append(
            f"others took {sample['foreign_cpu']:.0%} of its processor, "
            f"{sample['foreign_load_cpu']:.0%} of the generator's"
        )
    if sample["errors"]:
        parts.append(f"{sample['errors']} errors: {sample['raw'].get('first_error', '')}")
    return ", ".join(parts)
