#!/usr/bin/env python3
"""Run the Autobahn TestSuite against the echo app under our own server and under gunicorn.

Without arguments: the core (groups 1-7 and 10) and the limits (9), about half a minute a server.
Compression (12 and 13) takes a quarter of an hour a server: `--cases '12.*' '13.*'`, or `--cases
all`.

Each part has a server of its own: the core runs with the default settings, group 9 with higher
limits, since it sends messages of 16 MiB, and compression with `deflate` on. Reports are left in
.cache/conformance.

Exit status: 0 each verdict is OK or INFORMATIONAL; 1 some are not, or the server logged a
traceback; 2 usage; 3 the suite was not run, or not to its end.
"""
# ruff: noqa: E402  # it finds the package beside itself

from __future__ import annotations

import argparse
import platform
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import table
import wstest

from tests.support import servers

APP = "echo:app"
REPORTS = ROOT / ".cache" / "conformance"
FOLDER = Path(__file__).parent
SHOWN = ("tina4-wsgi", "gevent", "gunicorn")

TITLES = {"gunicorn": "gunicorn -k gevent", "own": "tina4-wsgi serve"}
START = {"gunicorn": servers.gunicorn, "own": servers.own}


class Part(NamedTuple):
    """Groups of cases that run against a server with the same settings."""

    name: str
    groups: tuple[str, ...]
    environ: Mapping[str, str]


PARTS = (
    Part("core", ("1", "2", "3", "4", "5", "6", "7", "10"), {}),
    Part(
        "limits",
        ("9",),
        # Messages of 16 MiB; 4 MiB in fragments of 64 bytes, and an empty one at the end.
        {"TINA4_WS_MAX_MESSAGE_BYTES": str(1 << 24), "TINA4_WS_MAX_FRAGMENTS": str(1 << 17)},
    ),
    # Messages of 131,072 characters, which UTF-8 may write in 4 bytes each.
    Part(
        "deflate",
        ("12", "13"),
        {"TINA4_WS_MAX_MESSAGE_BYTES": str(1 << 19), "TINA4_WS_DEFLATE": "yes"},
    ),
)
DEFAULT_CASES = ("core", "9.*")


def main() -> int:
    """Run what the arguments ask for and give the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--cases",
        nargs="+",
        default=DEFAULT_CASES,
        metavar="CASE",
        help='"7.1.*", "9.1.1", "core" (1-7 and 10) or "all"; by default core and 9.*',
    )
    parser.add_argument("--server", choices=list(TITLES), help="by default both")
    parser.add_argument(
        "--deflate", action="store_true", help="on for every part, not for 12 and 13 alone"
    )
    parser.add_argument(
        "--reports",
        type=Path,
        default=REPORTS,
        metavar="FOLDER",
        help="by default .cache/conformance",
    )
    parser.add_argument(
        "--timeout", type=float, default=3_600, metavar="SECONDS", help="for one part; default 3600"
    )
    arguments = parser.parse_args()
    try:
        chosen = choose(arguments.cases)
    except ValueError as exc:
        parser.error(str(exc))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))  # so that it ends what it started
    hosts = [arguments.server] if arguments.server else list(TITLES)
    reports, traces = {}, []
    try:
        suite = wstest.find()
        for host in hosts:
            reports[TITLES[host]], more = run_host(suite, host, chosen, arguments)
            traces += more
    except wstest.NotRun as exc:
        print(exc, file=sys.stderr)
        return 3
    return show(reports, traces)


def choose(cases: Sequence[str]) -> dict[str, list[str]]:
    """Sort cases into the parts that run them.

    Raises:
        ValueError: no part has such a case.
    """
    chosen: dict[str, list[str]] = {}
    for case in cases:
        group = case.split(".")[0]
        takers = [part for part in PARTS if case in ("all", part.name) or group in part.groups]
        if not takers:
            raise ValueError(f"no case {case!r}, expected core, all, or as in 7.1.*")
        for part in takers:
            names = [case] if group in part.groups else [f"{one}.*" for one in part.groups]
            chosen.setdefault(part.name, []).extend(names)
    return chosen


def run_host(
    suite: wstest.Suite,
    host: str,
    chosen: Mapping[str, Sequence[str]],
    arguments: argparse.Namespace,
) -> tuple[dict[str, dict], list[str]]:
    """Run all parts under one server; gives the reports by case, and the logs that hold a
    traceback.
    """
    reports: dict[str, dict] = {}
    traces: list[str] = []
    failed: wstest.NotRun | None = None
    for part in (one for one in PARTS if one.name in chosen):
        cases = chosen[part.name]
        print(f"{TITLES[host]}: {' '.join(cases)}", file=sys.stderr, flush=True)
        environ = {**part.environ, **({"TINA4_WS_DEFLATE": "yes"} if arguments.deflate else {})}
        folder = arguments.reports.resolve() / host / part.name
        folder.parent.mkdir(parents=True, exist_ok=True)
        log_path = folder.parent / f"{part.name}.log"
        with START[host](APP, FOLDER, log_path, env={"PYTHONPATH": str(ROOT), **environ}) as server:
            servers.wait_until_answering(server)
            url = f"ws://{server.address[0]}:{server.address[1]}/echo"
            try:
                reports.update(suite.run(TITLES[host], url, cases, folder, arguments.timeout))
                if server.process.poll() is not None:
                    failed = wstest.NotRun(f"the server ended during the run, see {log_path}")
            except wstest.NotRun as exc:
                # Raised below, since an error that leaves this block has the server's log printed.
                failed = exc
        if failed is not None:
            raise failed
        if "Traceback" in log_path.read_text(errors="replace"):
            traces.append(str(log_path))
    return reports, traces


def show(reports: table.Reports, traces: Sequence[str]) -> int:
    """Print the table and what fell short, and give the exit status."""
    versions = ", ".join(f"{name} {version}" for name in SHOWN if (version := version_of(name)))
    print(f"{date.today()}, Python {platform.python_version()}, {versions}\n")
    print(table.table(reports))
    shortfalls = [*table.shortfalls(reports), *(f"a traceback is in {path}" for path in traces)]
    if shortfalls:
        print("\n" + "\n\n".join(shortfalls))
    return 1 if shortfalls else 0


def version_of(distribution: str) -> str | None:
    """Give the version that is installed, None if it isn't."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
