"""The command: `python -m legacy`, which `make legacy` runs.

Exit status: 0 every cell is OK; 1 something failed; 2 usage; 3 an environment can't be made.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import signal
import sys
from collections.abc import Sequence
from datetime import date

from hosts.arguments import names_of
from hosts.environment import EnvironmentFailed, installed_version
from hosts.table import publish

from . import table
from .environment import CACHE, python_of
from .subject import Site, Subject
from .subjects import BY_KEY, SUBJECTS
from .trial import FAIL, WORKERS, Row, try_subject


def main(argv: Sequence[str] | None = None) -> int:
    """Try what the arguments ask for, print the table, and write it to docs/legacy.md when it is
    whole.
    """
    options = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as ^C: servers are ended, too
    try:
        sites = [_prepared(BY_KEY[key], options.fresh) for key in options.apps]
    except EnvironmentFailed as exc:
        print(exc, file=sys.stderr)
        return 3

    rows = [
        row
        for key, site in zip(options.apps, sites, strict=True)
        for row in _try(BY_KEY[key], site, options.workers)
    ]
    part = table.write(_about(sites[0]), rows)
    print(part)
    has_failed = any(FAIL in row.cells for row in rows)
    is_whole = options.apps == list(BY_KEY) and options.workers == list(WORKERS)
    if is_whole and not has_failed:
        publish(part, table.PAGE)
    return 1 if has_failed else 0


def _prepared(subject: Subject, is_fresh: bool) -> Site:
    """Return the subject with what it keeps: its users, and something to look at."""
    python = python_of(subject, is_fresh=is_fresh)
    folder = CACHE / "runs" / subject.key / "prepared"
    shutil.rmtree(folder.parent, ignore_errors=True)
    folder.mkdir(parents=True)
    site = Site(python, folder)
    subject.prepare(site)
    return site


def _try(subject: Subject, site: Site, workers: Sequence[str]) -> list[Row]:
    version = installed_version(site.python, subject.distribution)
    return [try_subject(subject, site, worker, version) for worker in workers]


def _about(site: Site) -> str:
    versions = ", ".join(
        f"{name} {installed_version(site.python, name)}" for name in ("gunicorn", "gevent")
    )
    return f"`make legacy`, {date.today()}, Python {platform.python_version()}, {versions}:"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m legacy",
        description="Wrap applications from PyPI; a whole run without a fault writes its table to "
        "docs/legacy.md.",
    )
    keys = [subject.key for subject in SUBJECTS]
    for option, known in (("--apps", keys), ("--workers", list(WORKERS))):
        parser.add_argument(
            option,
            type=names_of(known),
            default=known,
            metavar="NAMES",
            help=f"by commas, of {', '.join(known)}",
        )
    parser.add_argument(
        "--fresh", action="store_true", help="install the newest versions, instead of those there"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
