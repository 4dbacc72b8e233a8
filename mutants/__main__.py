"""`python -m mutants`, or `make mutants`: see the package."""

from __future__ import annotations

import argparse
import itertools
import signal
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from .finding import Finder, Mutant
from .reaching import PACKAGE, Reach
from .trying import ROOT, Copy, try_all

EQUIVALENT = Path(__file__).parent / "equivalent.txt"


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
        trials = Trials(Path(folder), options.jobs)
        survivors = {name: trials.survivors_of(name, sample) for name, sample in samples.items()}

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


class Trials:
    """Copies of the tree for each set of tests, and what these tests reach there."""

    def __init__(self, folder: Path, jobs: int) -> None:
        self._folder, self._jobs = folder, jobs
        self._made: dict[str, tuple[list[Copy], Reach]] = {}

    def survivors_of(self, name: str, sample: list[Mutant]) -> list[Mutant]:
        """Try the sample of a part.

        Raises:
            SystemExit: the tests fail without any mutant.
        """
        tests = PARTS[name].tests
        if tests not in self._made:
            self._made[tests] = self._make(tests)
        print(f"{name}: {len(sample)} mutants", flush=True)
        return try_all(sample, *self._made[tests])

    def _make(self, tests: str) -> tuple[list[Copy], Reach]:
        folder = self._folder / str(len(self._made))
        first = Copy(folder / "0")
        reach = first.reach(one for one in tests.split() if (ROOT / one).exists())
        # Copied afterwards, with what Python has compiled there.
        others = (Copy(folder / str(number), first.tree) for number in range(1, self._jobs))
        return [first, *others], reach


if __name__ == "__main__":
    sys.exit(main())
