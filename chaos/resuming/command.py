"""The command: `python -m chaos resume`.

Exit status: 0 all promises were kept; 1 one was broken, or a case didn't run; 2 usage.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from time import monotonic

from tests.support.servers import ROOT

from . import packages
from .course import Case, Outcome, run
from .faults import FAULTS
from .peers import PEERS
from .scale import Scale
from .table import Row, Store, page
from .verdict import broken_promises

FOLDER = ROOT / ".cache" / "chaos" / "resuming"
RESULTS = Path(__file__).parents[1] / "results.md"
ROWS = RESULTS.with_suffix(".jsonl")
JOURNALS = ("file", "redis")
COLUMNS = ("owed", "lost", "silent", "late", "doubled", "disordered", "split", "told")
HEAD = ("case", *COLUMNS, "nothing", "refused", "unsure", "s", "trouble")
LINE = "{:<24}" + "{:>11}" * (len(HEAD) - 2) + "  {}"
SHOWN = 3  # places of each kind


def main(argv: Sequence[str] | None = None) -> int:
    """Run each case that the arguments ask for, and print its row and where promises broke."""
    parser = _parser()
    options = parser.parse_args(argv)
    scale = Scale(*(getattr(options, name) for name in Scale._fields))
    asked_for = list(cases(options.faults, options.peers, options.journals))
    if not asked_for:
        parser.error("no peer that is named has such a fault on such a journal")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    packages.install()
    FOLDER.mkdir(parents=True, exist_ok=True)
    print(LINE.format(*HEAD), flush=True)
    return max(_run(case, scale, is_published=options.publish) for case in asked_for)


def publish(row: Row, scale: Scale) -> None:
    """Enter a row, and lay out the page anew."""
    store = Store(ROWS, scale)
    store.add(row)
    RESULTS.write_text(page(store.rows(), scale, _versions()))


def _run(case: Case, scale: Scale, *, is_published: bool) -> int:
    began_s = monotonic()
    try:
        outcome = run(case, scale, FOLDER / str(case))
    except AssertionError as exc:
        print(f"{case}: {exc}", file=sys.stderr, flush=True)
        return 1
    tally = outcome.tally
    figures = [getattr(tally, name) for name in COLUMNS]
    if is_published:
        when, python = date.today().isoformat(), _interpreter()
        row = Row(case.fault, case.peer, case.journal, when, python, scale.seed, *figures)
        publish(row, scale)
    trouble = ", ".join(f"{count} {what}" for what, count in sorted(outcome.trouble.items()))
    more = (tally.for_nothing, outcome.refused_count, outcome.unsure_count)
    took_s = f"{monotonic() - began_s:.0f}"
    print(LINE.format(str(case), *figures, *more, took_s, trouble), flush=True)
    return _report(case, outcome)


def _report(case: Case, outcome: Outcome) -> int:
    """Print where our own promises broke; what the others lose is a figure and no fault."""
    if case.peer != "tina4":
        return 0
    broken = broken_promises(FAULTS[case.fault], outcome.tally) + outcome.errors
    for what in broken:
        places = outcome.tally.places.get(what.split()[0], [])
        for place in [f", as {place}" for place in places[:SHOWN]] or [""]:
            print(f"{case}: {what}{place}", flush=True)
    return 1 if broken else 0


def cases(faults: Sequence[str], peers: Sequence[str], journals: Sequence[str]) -> Iterator[Case]:
    """Yield each case that means something, by fault, peer and journal."""
    for fault in faults:
        for key in peers:
            peer = PEERS[key]
            for journal in peer.journals:
                is_asked_for = journal in journals or len(peer.journals) == 1
                is_meant = fault in peer.faults and journal in FAULTS[fault].journals
                if is_asked_for and is_meant:
                    yield Case(fault, key, journal)


def _interpreter() -> str:
    return f"{platform.python_implementation()} {platform.python_version()}"


def _versions() -> dict[str, str]:
    own = {name: version(name) for name in ("gevent", "gunicorn")}
    return own | packages.versions() | {"processors": str(os.cpu_count())}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m chaos resume",
        description="Cut lines, disturb services, and count what clients miss.",
    )
    add = parser.add_argument
    add("--faults", type=_some_of(FAULTS), default="all", help=f"of {', '.join(FAULTS)}; all")
    add("--peers", type=_some_of(PEERS), default="tina4", help=f"of {', '.join(PEERS)}; tina4")
    add("--journals", type=_some_of(JOURNALS), default="all", help="of file, redis; all")
    add("--publish", action="store_true", help="enter the cases into chaos/results.md")
    for name, default in Scale()._asdict().items():
        add(f"--{name}", type=type(default), default=default, help="default: %(default)s")
    return parser


def _some_of(known: Collection[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = list(known) if text == "all" else text.split(",")
        unknown = [name for name in names if name not in known]
        if unknown:
            expected = f"expected some of {', '.join(known)}, or all"
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; {expected}")
        return names

    return parse
