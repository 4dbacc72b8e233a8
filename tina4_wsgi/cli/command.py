"""What the commands of the command line share: how each is declared, and how it fails.

Exit codes: 0 for success; 1 for a failure, which one sentence on stderr explains; 2 for wrong
usage; 128 plus the number of the signal that ended the command early.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import Tina4Error

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

PROGRAM = "tina4-wsgi"


class CommandFailed(Tina4Error):
    """The command can't do what it was asked: exit code 1."""


class WrongUsage(CommandFailed):
    """The options contradict each other: exit code 2, with the command's usage."""


@dataclass(frozen=True, slots=True)
class Subcommand:
    """One command of `tina4-wsgi`; `cli.main.COMMANDS` lists them all.

    Attributes:
        name: the word that follows `tina4-wsgi`.
        help: its line in the list of commands.
        description: what its own `--help` says above the options.
        add_options: adds its arguments to an argparse parser.
        run: runs it and returns the exit code, or raises a `Tina4Error`.
        epilog: what its own `--help` says below the options.
    """

    name: str
    help: str
    description: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    epilog: str = ""


def add_app(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the argument that names an application, as `loading.load_app` takes it."""
    parser.add_argument(
        "app", nargs="?", metavar="module:app", help=f"{what}; config:FILE.ini for PasteDeploy"
    )
