"""The command: `python -m chaos`, which `make chaos` runs.

`soak` and `resume` choose one of the two programs, with options of its own; otherwise both run,
with the options that both have. Exit status: the larger one of the two.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import soak_command
from .resuming import command

PROGRAMS = {"soak": soak_command.main, "resume": command.main}


def main(argv: Sequence[str]) -> int:
    """Run the program that the first argument names, or both."""
    if argv[:1] and argv[0] in PROGRAMS:
        return PROGRAMS[argv[0]](argv[1:])
    parser = argparse.ArgumentParser(
        prog="python -m chaos",
        description="Run both programs.",
        epilog="soak --help, resume --help",
    )
    parser.add_argument("--seconds", metavar="S", help="of trouble, for each case")
    parser.add_argument("--seed", metavar="N")
    common = vars(parser.parse_args(argv))
    options = [f"--{name}={value}" for name, value in common.items() if value is not None]
    return max(program(options) for program in list(PROGRAMS.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
