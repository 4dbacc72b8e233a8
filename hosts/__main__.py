"""The command: `python -m hosts`, which `make hosts` runs.

Exit status: 0 every cell is a yes or has its reason; 1 something failed; 2 usage; 3 an environment
can't be made.
"""

from __future__ import annotations

import argparse
import platform
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

from tina4_wsgi.version import __version__

from . import table
from .arguments import names_of
from .environment import EnvironmentFailed, installed_version, python_of
from .host import BY_KEY, GUNICORNS, HOSTS, NEWEST, UWSGI, Host
from .trial import FAILED, Row, try_host

AT_ONCE = 2  # servers mostly wait here: for clients, for a second's poll, for an old worker


def main(argv: Sequence[str] | None = None) -> int:
    """Try what the arguments ask for, print the table, and write it to docs/hosts.md when it is
    whole.
    """
    options = _parser().parse_args(argv)
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # as ^C: rows that run are finished, no more begin
    wanted = [
        (BY_KEY[key], version)
        for key in options.hosts
        for version in BY_KEY[key].versions
        if version in options.gunicorns or version == UWSGI
    ]
    try:
        pythons = {
            version: python_of(version)
            for version in dict.fromkeys(version for _, version in wanted)
        }
    except EnvironmentFailed as exc:
        print(exc, file=sys.stderr)
        return 3
    with ThreadPoolExecutor(options.at_once) as pool:
        rows = list(pool.map(lambda one: _try(one[0], pythons[one[1]]), wanted))
    part = table.write(_about(pythons), rows)
    print(part)
    has_failed = any(FAILED in row.cells for row in rows)
    is_whole = options.hosts == list(BY_KEY) and options.gunicorns == list(GUNICORNS)
    if is_whole and not has_failed:
        table.publish(part)
    return 1 if has_failed else 0


def _try(host: Host, python: Path) -> Row:
    if host.is_gunicorn:
        shown = installed_version(python, "gunicorn")
    elif host.is_uwsgi:
        shown = installed_version(python, "uwsgi")
    elif host.distribution:
        shown = installed_version(python, host.distribution)
    else:
        shown = f"Python {platform.python_version()}" if host.key == "wsgiref" else __version__
    return try_host(host, python, shown)


def _about(pythons: dict[str, Path]) -> str:
    newest = pythons.get(NEWEST) or next(iter(pythons.values()))
    versions = ", ".join(
        f"{name} {installed_version(newest, name)}" for name in ("gevent", "gevent-websocket")
    )
    return f"{date.today()}, Python {platform.python_version()}, {versions}."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hosts",
        description="Try every host server; a whole run without a fault writes docs/hosts.md.",
    )
    keys = [host.key for host in HOSTS]
    parser.add_argument(
        "--hosts",
        type=names_of(keys),
        default=keys,
        metavar="NAMES",
        help=f"by commas, of {', '.join(keys)}",
    )
    parser.add_argument(
        "--gunicorns",
        type=names_of(GUNICORNS),
        default=list(GUNICORNS),
        metavar="VERSIONS",
        help=f"by commas, of {', '.join(GUNICORNS)}",
    )
    parser.add_argument(
        "--at-once", type=int, default=AT_ONCE, metavar="N", help="rows (default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
