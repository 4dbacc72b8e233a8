"""Finds the Autobahn TestSuite on this machine and runs its fuzzing client against a server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILT = ROOT / ".cache" / "wstest" / "bin" / "wstest"
IMAGE = "crossbario/autobahn-testsuite"
IN_CONTAINER = "/suite"
PROBE_S = 60.0

HOW_TO_GET_IT = (
    "no wstest here: run conformance/setup (it needs a Python 2.7), or name one with WSTEST=, "
    f"or start Docker, and {IMAGE} is used"
)


class NotRun(Exception):
    """The suite gave no result; the message says why."""


class Suite:
    """One way of running wstest.

    Args:
        command: what comes before wstest's own arguments, in a run whose folder is `{folder}`.
        folder_inside: what wstest calls that folder; None if it sees the same file system.
    """

    def __init__(self, command: Sequence[str], folder_inside: str | None = None) -> None:
        self._command = command
        self._folder_inside = folder_inside

    def run(
        self, agent: str, url: str, cases: Sequence[str], folder: Path, timeout_s: float
    ) -> dict[str, dict]:
        """Run some cases against one server.

        Args:
            agent: how the server is called in the reports.
            cases: as the suite names them, with a star at the end: "1.1.*".
            folder: where the reports go; what is there is replaced.
        Returns:
            The suite's report of each case, by the case's name.
        Raises:
            NotRun: wstest failed, took too long or reported nothing.
        """
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        inside = self._folder_inside or str(folder)
        spec = {
            "outdir": f"{inside}/reports",
            "servers": [{"agent": agent, "url": url}],
            "cases": list(cases),
            "exclude-cases": [],
            "exclude-agent-cases": {},
        }
        (folder / "spec.json").write_text(json.dumps(spec, indent=2))
        command = [part.format(folder=folder) for part in self._command]
        status = _run(
            [*command, "-m", "fuzzingclient", "-s", f"{inside}/spec.json"], folder, timeout_s
        )
        if status is None:
            raise NotRun(f"wstest was ended after {timeout_s:g} s, see {folder / 'wstest.log'}")
        if status != 0:
            raise NotRun(f"wstest ended with exit code {status}, see {folder / 'wstest.log'}")
        return _reports(folder / "reports", agent)


def find() -> Suite:
    """Look for wstest: $WSTEST, PATH, what conformance/setup built, Docker.

    Raises:
        NotRun: there is none; the message says how to get it.
    """
    named = os.environ.get("WSTEST")
    if named is not None and not _works([named, "--version"]):
        raise NotRun(f"WSTEST={named} can't be run")
    for candidate in (named, shutil.which("wstest"), str(BUILT)):
        if candidate and _works(
            [candidate, "--version"]
        ):  # a shim of pyenv may be on PATH for nothing
            return Suite([candidate])
    if _works(["docker", "version"]):
        user = f"{os.getuid()}:{os.getgid()}"
        command = ["docker", "run", "--rm", "--network", "host", "--user", user]
        return Suite(
            [*command, "--volume", f"{{folder}}:{IN_CONTAINER}", IMAGE, "wstest"], IN_CONTAINER
        )
    raise NotRun(HOW_TO_GET_IT)


def _works(command: Sequence[str]) -> bool:
    try:
        return (
            subprocess.run(command, capture_output=True, timeout=PROBE_S, check=False).returncode
            == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


def _run(command: Sequence[str], folder: Path, timeout_s: float) -> int | None:
    """Give the exit code, or None if it took too long and was killed."""
    with (folder / "wstest.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _reports(folder: Path, agent: str) -> dict[str, dict]:
    try:
        index = json.loads((folder / "index.json").read_text())[agent]
        return {
            case: {**row, **json.loads((folder / row["reportfile"]).read_text())}
            for case, row in index.items()
        }
    except (OSError, KeyError, ValueError) as exc:
        raise NotRun(f"no report in {folder}: {exc!r}") from exc
