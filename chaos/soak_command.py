"""The command: `python -m chaos soak`.

Exit status: 0 no fault; 1 a fault, or a server that didn't start, rest or stop; 2 usage.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
from collections.abc import Sequence

from tests.support.servers import ROOT

from .disturber import WEIGHTS
from .soak import SERVERS, Held, soak

HEAD = ("server", "seed", "pairs", "opens", *WEIGHTS, *Held._fields, "faults")
ROW = "  ".join(f"{{:>{max(8, len(name))}}}" for name in HEAD)
SHOWN = 5  # faults of each kind


def main(argv: Sequence[str] | None = None) -> int:
    """Soak each server that the arguments ask for, and print its row and its faults."""
    options = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as ^C: the server is ended, too
    print(ROW.format(*HEAD), flush=True)
    return max([_soak(kind, options.seconds, options.seed) for kind in options.server or SERVERS])


def _soak(kind: str, seconds: float, seed: int) -> int:
    folder = ROOT / ".cache" / "chaos" / f"{kind}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        tally, disturber, held = soak(kind, folder, seconds, seed)
    except AssertionError as exc:
        print(f"{kind}, seed {seed}: {exc}", file=sys.stderr)
        return 1
    counts = (disturber.counts[what] for what in WEIGHTS)
    ranges = (f"{min(column)}-{max(column)}" for column in zip(*held, strict=True))
    fault_count = sum(map(len, tally.faults.values()))
    print(
        ROW.format(kind, seed, tally.pairs, tally.opens, *counts, *ranges, fault_count), flush=True
    )
    for fault, places in tally.faults.items():
        for place in places[:SHOWN]:
            print(f"{len(places)} {fault}, as {place}", flush=True)
    return 1 if fault_count else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m chaos soak", description="Disturb workers, and see what their clients lose."
    )
    add = parser.add_argument
    add("--server", action="append", choices=SERVERS, help="only this one")
    add(
        "--seconds",
        type=float,
        default=40.0,
        metavar="S",
        help="of disturbance (default: %(default)g)",
    )
    add(
        "--seed",
        type=int,
        default=random.randrange(10_000),
        metavar="N",
        help="default: a random one",
    )
    return parser
