"""What the commands of the command line have in common: how each is declared, and how it fails.

Exit codes: 0, done; 1, it can't be done, and one sentence on stderr says why; 2, wrong usage; 128
and the number of the signal that ended it before it was done.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import Tina4Error

PROGRAM = "tina4-wsgi"


class CommandFailed(Tina4Error):
    """What was asked can't be done: exit code 1."""


class WrongUsage(CommandFailed):
    """Options that don't go together: exit code 2, with the command's usage."""


@dataclass(frozen=True, slots=True)
class Command:
    """One word that may follow `tina4-wsgi`; `cli.COMMANDS` lists them all.

    Attributes:
        name: that word.
        help: what it does, in the list of commands.
        description: what its own `--help` says above the options.
        add_options: describes its arguments to argparse.
        run: does it and gives the exit code, or raises `Tina4Error`.
        epilog: what `--help` says below the options.
    """

    name: str
    help: str
    description: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    epilog: str = ""


def add_app(parser: argparse.ArgumentParser, what: str) -> None:
    """Let the command line name an application, as `loading.load_app` takes it."""
    parser.add_argument("app", nargs="?", metavar="module:app", help=what)
