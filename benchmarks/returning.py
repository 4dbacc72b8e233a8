"""The scenarios in which clients of our own come, or come back, to a path that keeps history."""

from __future__ import annotations

from dataclasses import replace

from .measuring import Bench, Sample, storm
from .scenarios import MISSED, Scenario
from .servers import Server
from .watching import ask


def coming(bench: Bench, scenario: Scenario, server: Server) -> Sample:
    """Let clients come, and count what each costs the server.

    Where their path says a position, they have missed `MISSED` messages of 64 bytes since then, and
    each must get them all.

    Returns:
        A sample of a storm with `cpu_us`, the microseconds of server CPU for each client.
    """
    position = ask(server, "/position/bench")["position"]
    ask(server, f"/say/bench/{MISSED}")
    load = tuple(word.format(position=position) for word in scenario.load)
    sample = storm(bench, replace(scenario, load=load), server)
    raw = sample["raw"]
    sample["cpu_us"] = sample["cpu_s"] * 1e6 / raw["conns"] if raw["conns"] else 0.0
    if load != scenario.load:
        sample["errors"] += abs(raw["kept"] - MISSED * raw["conns"]) + raw["gaps"]
    return sample
