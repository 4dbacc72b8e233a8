"""`python -m mutants`, or `make mutants`: see the package."""

from __future__ import annotations

import argparse
import itertools
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from .finding import Finder, Mutant
from .trying import PACKAGE, ROOT, Copy, try_all

EQUIVALENT = Path(__file__).parent / "equivalent.txt"
TIMES_AS_LONG = 4  # as the tests take without a mutant; beyond, a mutant is taken for hanging
LEAST_TIMEOUT_S = 120.0


class Part(NamedTuple):
    """A folder of the package, and the tests that must notice changes in it; those that don't
    exist are passed over.
    """

    tests: str
    least_score: float


CONNECTIONS = (
    "tests/hub tests/websocket tests/engine tests/acceptance/test_connection_api.py"
    " tests/acceptance/test_ends.py tests/acceptance/test_limits.py tests/acceptance/test_rooms.py"
)
PARTS = {
    "protocol": Part("tests/protocol", 97),
    "websocket": Part(CONNECTIONS, 90),
    "hub": Part(CONNECTIONS, 90),
    "engine": Part(CONNECTIONS, 90),
    "backplane": Part("tests/backplane", 90),
}


def main() -> int:
    """Try a sample of mutants; print what survived, and the scores."""
    parser = argparse.ArgumentParser(
        prog="python -m mutants", description="Change the package and see who notices."
    )
    parser.add_argument("part", nargs="*", help=f"{', '.join(PARTS)}; all by default")
    parser.add_argument(
        "--sample", type=int, default=60, help="mutants of each part; 60 by default, 0 is all"
    )
    parser.add_argument("--seed", type=int, default=1, help="which mutants these are; 1 by default")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time; 2 by default")
    parser.add_argument(
        "--only",
        default="",
        metavar="TEXT",
        help="mutants whose line in the output would hold this",
    )
    parser.add_argument("--list", action="store_true", help="print the sample and run nothing")
    options = parser.parse_args()
    if unknown := [name for name in options.part if name not in PARTS]:
        parser.error(f"no part is called {unknown[0]}; there are {', '.join(PARTS)}")

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    samples = {name: sample_of(name, options) for name in options.part or PARTS}
    if options.list:
        print(*(mutant for sample in samples.values() for mutant in sample), sep="\n")
        return 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        survivors = {
            name: survivors_of(name, sample, Path(folder, name), options.jobs)
            for name, sample in samples.items()
        }

    is_good = True
    for name, survived in survivors.items():
        score = 100 * (1 - len(survived) / max(1, len(samples[name])))
        is_good &= score >= PARTS[name].least_score
        print(
            f"{name}: {score:.1f} % of {len(samples[name])}, at least {PARTS[name].least_score} %"
        )
        print(*(f"  {mutant}" for mutant in survived), sep="\n")
    return 0 if is_good else 1


def sample_of(folder: str, options: argparse.Namespace) -> list[Mutant]:
    """Draw the mutants that the options ask for."""
    left_out = equivalent()
    found = [
        one
        for one in mutants_of(folder)
        if one.identity not in left_out and options.only in str(one)
    ]
    found.sort(key=lambda mutant: mutant.rank(options.seed))
    compiling = (one for one in found if one.compiles((ROOT / PACKAGE / one.path).read_bytes()))
    return list(itertools.islice(compiling, options.sample or None))


def mutants_of(folder: str) -> list[Mutant]:
    """Find all mutants of a folder, in the order of the source."""
    package = ROOT / PACKAGE
    files = sorted((package / folder).rglob("*.py"))
    found = (Finder(str(one.relative_to(package)), one.read_bytes()).found for one in files)
    return [mutant for of_file in found for mutant in of_file]


def equivalent() -> dict[tuple[str, str, str], str]:
    """Read the list of mutants that no test can notice, each with its reason."""
    lines = [
        line.strip() for line in EQUIVALENT.read_text().splitlines() if not line.startswith("#")
    ]
    blocks = [
        block.strip().split("\n") for block in "\n".join(lines).split("\n\n") if block.strip()
    ]
    found = {}
    for place, change, *reason in blocks:
        path, _, function = place.partition(" ")
        found[path, function, change] = " ".join(reason)
    return found


def survivors_of(name: str, sample: list[Mutant], folder: Path, jobs: int) -> list[Mutant]:
    """Try the sample of a part.

    Raises:
        SystemExit: the tests fail without any mutant.
    """
    tests = [one for one in PARTS[name].tests.split() if (ROOT / one).exists()]
    first = Copy(folder / "0")
    began = time.monotonic()
    code, said = first.run(tests)
    if code != 0:
        sys.exit(f"{name}: the tests fail without a mutant: {said}")
    took_s = time.monotonic() - began
    print(f"{name}: {len(sample)} mutants; the tests take {took_s:.0f} s", flush=True)

    def tests_of(mutant: Mutant) -> list[str]:
        own = f"test_{Path(mutant.path).stem}.py"  # the quickest to notice
        return [*(f"{one}/{own}" for one in tests if (ROOT / one / own).exists()), *tests]

    copies = [first, *(Copy(folder / str(number), first.tree) for number in range(1, jobs))]
    return try_all(sample, copies, tests_of, max(LEAST_TIMEOUT_S, TIMES_AS_LONG * took_s))


if __name__ == "__main__":
    sys.exit(main())
