"""Tries mutants: in copies of the tree, against the tests, with whatever they start ended
afterwards.
"""

from __future__ import annotations

import os
import queue
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from .finding import Mutant
from .reaching import PACKAGE, Reach

ROOT = Path(__file__).resolve().parents[1]
NOT_COPIED = (".git", ".venv", ".cache", "build", "dist", "*.egg-info", "*.so")
MOST_MEMORY_BYTES = 4 << 30
"""Of one process: a mutant may collect bytes without end."""


class Copy:
    """A copy of the tree in which mutants are tried, one at a time."""

    def __init__(self, folder: Path, source: Path = ROOT) -> None:
        """Copy the tree from `source` into a folder that there isn't yet."""
        self.tree = folder / "tree"
        self.temp = folder / "temp"
        shutil.copytree(source, self.tree, ignore=shutil.ignore_patterns(*NOT_COPIED))
        self.temp.mkdir()

    def is_killed(self, mutant: Mutant, tests: Sequence[str], timeout_s: float) -> tuple[bool, str]:
        """Try one mutant; gives also what the tests said last."""
        if not tests:
            return False, "no test reaches it"
        path = self.tree / PACKAGE / mutant.path
        source, before = path.read_bytes(), path.stat()
        path.write_bytes(mutant.apply(source))
        try:
            # What Python keeps compiled is known by time and size of its source: a mutant leaves
            # nothing there.
            code, said = self.run(tests, timeout_s, PYTHONDONTWRITEBYTECODE="1")
        finally:
            path.write_bytes(source)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        return code != 0, said

    def run(
        self, arguments: Iterable[str], timeout_s: float | None = None, **variables: str
    ) -> tuple[int, str]:
        """Run tests until the first fails.

        Returns:
            The exit code, -1 for a timeout, and which test failed, or the last line.
        """
        env = {
            name: value
            for name, value in os.environ.items()
            if name not in ("PYTEST_ADDOPTS", "CI")
        }
        env |= {"PYTHONPATH": str(self.tree), "TMPDIR": str(self.temp), **variables}
        options = ["-x", "--hypothesis-seed=1", "-o", f"cache_dir={self.temp}/pytest"]
        command = [sys.executable, "-m", "pytest", *options, *arguments]
        with (self.temp / "output").open("w+", errors="replace") as output:
            # A file, no pipe: whoever a test leaves behind could keep that open.
            pytest = subprocess.Popen(
                command,
                cwd=self.tree,
                env=env,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            resource.prlimit(pytest.pid, resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
            try:
                code = pytest.wait(timeout_s)
            except subprocess.TimeoutExpired:
                return -1, "timeout"
            finally:
                pytest.kill()  # right after its start nobody can read its environment yet
                self.end_what_is_left()
                pytest.wait()
            output.seek(0)
            lines = [line for line in output.read().splitlines() if line.strip()]
            failed = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
            return code, next(iter(failed or lines[-1:]), "")

    def reach(self, tests: Iterable[str]) -> Reach:
        """Run tests without a mutant, and note what they reach.

        Raises:
            SystemExit: one fails.
        """
        path = self.temp / "reach"
        options = ["-p", "mutants.reaching", "--maxfail=0"]
        _, said = self.run([*options, *tests], None, MUTANTS_REACH=str(path))
        reach = Reach(path, self.tree)
        code = 0
        if reach.failed:
            code, said = self.run(sorted(reach.failed))
        if code != 0:
            sys.exit(f"the tests fail without a mutant: {said}")
        return reach

    def end_what_is_left(self) -> None:
        """Kill what the tests started in this copy and did not end: a mutant may have broken
        how.
        """
        mark = f"PYTHONPATH={self.tree}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    os.kill(int(folder.name), signal.SIGKILL)
            except OSError:  # it has ended, or is another user's
                continue


def try_all(mutants: Iterable[Mutant], copies: Sequence[Copy], reach: Reach) -> list[Mutant]:
    """Try mutants, one at a time in each copy; gives those that survived, in the order of the
    source.
    """
    waiting: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
    for mutant in mutants:
        waiting.put(mutant)
    survived: list[Mutant] = []

    def work(one: Copy) -> None:
        while True:
            try:
                mutant = waiting.get_nowait()
            except queue.Empty:
                return
            tests = reach.tests_of(mutant)
            is_killed, said = one.is_killed(mutant, tests, reach.timeout_s(tests))
            print(
                f"  {'killed  ' if is_killed else 'SURVIVED'} {mutant}  [{said[:120]}]", flush=True
            )
            if not is_killed:
                survived.append(mutant)

    threads = [threading.Thread(target=work, args=[one], daemon=True) for one in copies]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    finally:  # ^C and SIGTERM too
        while not waiting.empty():
            waiting.get()
        for one in copies:
            one.end_what_is_left()
    return sorted(survived, key=lambda mutant: (mutant.path, mutant.start))
