"""`tina4-wsgi doctor`: prints what `examination` and `probe` find."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..command import Subcommand, add_app

if TYPE_CHECKING:
    import argparse

_DESCRIPTION = """\
Prints what is wrong with an app or a running site, one line each with its fix, and behind that, as
notes, what each kind of server that may run the app asks of it. The exit code is 1 if anything is
fatal.
"""


def doctor(arguments: argparse.Namespace) -> int:
    """Print what is wrong, one line each, and return 1 if anything is fatal; the `doctor` command.

    Raises:
        LoadError, ConfigError: the app can't be loaded.
    """
    from .examination import examine
    from .probe import probe
    from .ways import Note

    is_examined = arguments.url is None or arguments.app is not None
    found = [*examine(arguments.app, Path.cwd())] if is_examined else []
    notes = [one for one in found if isinstance(one, Note)]
    findings = [one for one in found if not isinstance(one, Note)]
    if arguments.url is not None:
        findings += probe(arguments.url, arguments.origin)

    for finding in findings:
        print(finding)
    if not findings:
        print("nothing is wrong")
    for note in notes:
        print(note)
    return int(any(finding.is_fatal for finding in findings))


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_app(parser, "the WSGI application to examine")
    parser.add_argument(
        "--url", help="ask a running site for an upgrade: http://127.0.0.1:7148/ws/…"
    )
    parser.add_argument(
        "--origin", help="of the page that asks, with --url (default: that of the URL)"
    )


COMMAND = Subcommand("doctor", "look for what is often wrong", _DESCRIPTION, _add_options, doctor)
