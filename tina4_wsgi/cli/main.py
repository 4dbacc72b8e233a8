"""The command line: `tina4-wsgi COMMAND`. Each command is a module; `COMMANDS` lists them."""

from __future__ import annotations

import argparse
import importlib.machinery
import importlib.util
import os
import platform
import signal
import sys
from importlib import metadata
from typing import TYPE_CHECKING

from ..errors import Tina4Error
from ..server.loading import LoadError
from ..version import __version__
from . import history, init, nginx, publish, routes, serve, tap
from .command import PROGRAM, Subcommand, WrongUsage
from .doctor import command as doctor_command

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS: tuple[Subcommand, ...] = (
    init.COMMAND,
    serve.COMMAND,
    routes.COMMAND,
    publish.COMMAND,
    history.COMMAND,
    tap.COMMAND,
    doctor_command.COMMAND,
    nginx.COMMAND,
)
"""In the order of `--help`. None imports gevent or the application before its command runs."""

_DESCRIPTION = "A WSGI framework in which a WebSocket is a route."

_EPILOG = f"""\
{PROGRAM} COMMAND --help says more about each.

exit codes:
  0   done
  1   it can't be done; one sentence says why
  2   wrong usage
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Returns:
        The command's own; 1 if it failed, with one sentence on stderr; 2 without a command, with
        the list of commands on stderr; 130 if it was interrupted.
    Raises:
        SystemExit: 2 for wrong arguments; 0 for --help and --version.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if "command" not in arguments:
        # argparse would only say that a command is missing, not which commands there are.
        parser.print_help(sys.stderr)
        return 2

    arguments.argv = argv
    command: Subcommand = arguments.command
    sub: argparse.ArgumentParser = arguments.parser

    try:
        return command.run(arguments)
    except WrongUsage as exc:
        sub.error(str(exc))
    except LoadError as exc:
        return _fail(exc, exc.user_traceback)
    except Tina4Error as exc:
        return _fail(exc)
    except BrokenPipeError:  # `tina4-wsgi routes | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the flush at exit
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:  # while the application is imported, before the server handles ^C
        return 128 + signal.SIGINT


def _fail(exc: Tina4Error, details: str = "") -> int:
    sys.stderr.write(f"{details}{PROGRAM}: {exc}\n")
    return 1


def _parser() -> argparse.ArgumentParser:
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        PROGRAM, description=_DESCRIPTION, epilog=_EPILOG, formatter_class=as_written
    )
    parser.add_argument("--version", action=_Version, help="show what is installed, and exit")

    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in COMMANDS:
        sub = commands.add_parser(
            command.name,
            help=command.help,
            description=command.description,
            epilog=command.epilog,
            formatter_class=as_written,
        )
        command.add_options(sub)
        sub.set_defaults(command=command, parser=sub)
    return parser


class _Version(argparse.Action):
    """Prints the versions, which it looks up only then."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *values: object) -> None:
        print(versions())
        parser.exit()


def versions() -> str:
    """Return on one line which versions are installed, for bug reports."""
    return (
        f"{PROGRAM} {__version__} ({engine_kind()} engine, gevent {metadata.version('gevent')}, "
        f"Python {platform.python_version()})"
    )


def engine_kind() -> str:
    """Return "compiled" or "pure Python", as the engine was installed."""
    found = importlib.util.find_spec("tina4_wsgi.websocket.transport")
    is_compiled = (
        found is not None
        and found.origin is not None
        and found.origin.endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES))
    )
    return "compiled" if is_compiled else "pure Python"
