"""Notes which lines of the package each test reaches, so that a mutant meets only the tests that
can notice it.

As a plugin of pytest (`-p mutants.reaching`) it traces one run, and writes what it has seen into
the file that `MUTANTS_REACH` names; `Reach` reads it. Tests are named without their parameters:
`tests/hub/test_poller.py::test_name`.

Not by `coverage`: that keeps a weak reference to each greenlet, and ours end those that somebody
refers to.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from .finding import Mutant

PACKAGE = "tina4_wsgi"
TIMES_AS_LONG = 4  # as without a mutant; beyond, tests are taken for hanging
LEAST_TIMEOUT_S = 120.0
_STARTS_A_PROCESS = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn")


class Noting:
    """The plugin."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._root = f"{Path.cwd() / PACKAGE}{os.sep}"
        self._test = ""  # none yet: what an import runs
        self._lines: dict[tuple[str, int], set[str]] = defaultdict(set)
        self._seconds: dict[str, float] = defaultdict(float)
        self._unseen: set[str] = set()  # files with tests that reach what isn't seen here
        self._failed: set[str] = set()
        self._trace(is_on=True)
        sys.addaudithook(self._audit)

    def _trace(self, is_on: bool) -> None:
        sys.settrace(self._enter if is_on else None)
        threading.settrace(self._enter if is_on else None)

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._line if frame.f_code.co_filename.startswith(self._root) else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        self._lines[frame.f_code.co_filename, frame.f_lineno].add(self._test)
        return self._line

    def _audit(self, event: str, _: object) -> None:
        if event in _STARTS_A_PROCESS:
            self._unseen.add(self._file)

    @property
    def _file(self) -> str:
        return self._test.partition("::")[0]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._test, _, _ = item.nodeid.partition("[")
        if item.get_closest_marker("measures"):  # a tracer would spoil it
            self._unseen.add(self._file)
            self._trace(is_on=False)
        began = time.monotonic()

        result = yield

        self._seconds[self._test] += time.monotonic() - began
        self._trace(is_on=True)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.add(self._test)

    def pytest_sessionfinish(self) -> None:
        self._trace(is_on=False)
        seen = dict(self._lines), dict(self._seconds), self._unseen, self._failed
        self._path.write_bytes(pickle.dumps(seen))


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Start, before another plugin imports the package."""
    if path := os.environ.get("MUTANTS_REACH"):
        pluginmanager.register(Noting(Path(path)))


class Reach:
    """Which tests can notice a mutant.

    Args:
        path: what the plugin has written.
        tree: where the package was traced.

    Attributes:
        failed: the tests that failed, maybe since they were traced.
    """

    def __init__(self, path: Path, tree: Path) -> None:
        self._package = tree / PACKAGE
        self._lines: dict[tuple[str, int], set[str]]
        self._seconds: dict[str, float]
        self._lines, self._seconds, unseen, self.failed = pickle.loads(path.read_bytes())
        self._unseen = {name for name in self._seconds if name.partition("::")[0] in unseen}

    def tests_of(self, mutant: Mutant) -> list[str]:
        """List all tests that can notice a mutant: first those seen to reach its line, the module's
        own and the quickest first, then those that reach whatever a process of theirs does.
        """
        own = str(Path("tests", mutant.path).with_name(f"test_{Path(mutant.path).stem}.py"))
        reaching = self._reaching(mutant)

        def rank(name: str) -> tuple[bool, bool, float]:
            return name not in reaching, not name.startswith(own), self._seconds[name]

        return sorted(reaching | self._unseen, key=rank)

    def timeout_s(self, tests: Iterable[str]) -> float:
        """Return after which time tests are taken for hanging."""
        return max(LEAST_TIMEOUT_S, TIMES_AS_LONG * sum(self._seconds[name] for name in tests))

    def _reaching(self, mutant: Mutant) -> set[str]:
        path = str(self._package / mutant.path)
        for line in range(mutant.line, mutant.first_line - 1, -1):
            if names := self._lines.get((path, line)):
                # A line that an import runs: any test may notice.
                return names - {""} or set(self._seconds)
        return set()
