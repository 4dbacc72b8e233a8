"""What holds for every test: a deadline, nothing left behind, and no silent skip under CI.

The checks themselves are in `tests/support/leaks.py` and `tests/support/deadline.py`; this file
only hooks them into pytest. Tests run in an unpatched process, so a test that wants patched modules
starts one.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.support import deadline, leaks

ROOT = Path(__file__).resolve().parents[1]
TEST_LIMIT_S = 30.0
LONGEST = ("tests/compiled/", "tests/versions/")
FIXTURE_LIMIT_S = 120.0  # a fixture of a module may install a package or start a browser


def pytest_configure(config: pytest.Config) -> None:
    """Keep what the one who runs this has set away from the tests, and what they write inside the
    tree.

    ^C must work in the servers that tests start, even when this run was started with `&`; so must a
    closed terminal when it was started with `nohup`.
    """
    for name in [name for name in os.environ if name.startswith("TINA4_WS_")]:
        del os.environ[name]
    # Servers in this process meet here, and not with what else runs for this user in this folder.
    os.environ["TINA4_WS_BUS_DIR"] = tempfile.mkdtemp(prefix="tina4-bus-")
    deadline.remember_terminal()
    os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(ROOT / ".cache" / "hypothesis"))
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_unconfigure() -> None:
    """Take the bus directory away again, and what watches for a test that is stuck."""
    deadline.stop_watching()
    shutil.rmtree(os.environ.get("TINA4_WS_BUS_DIR", ""), ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put first what takes minutes: at the end the other processes of `pytest -n` would have
    nothing left to do.
    """
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


def pytest_collection_finish() -> None:
    """Take everything imported so far out of the collector's sight.

    The leak check asks the collector for all objects after each test; with 200,000 imported ones
    that takes 20 ms, without them well under one.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a greenlet, a socket, a child process or a native thread."""
    if request.node.get_closest_marker("leaks") is not None:
        yield
        return
    leaks.make_looks_cheap()
    before = leaks.Snapshot.take()
    yield
    left = before.what_was_left()
    if left:
        pytest.fail(left, pytrace=False)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it would be published, built from a copy so that no build folder is left in
    the tree.
    """
    copy, built = tmp_path_factory.mktemp("tree") / "tree", tmp_path_factory.mktemp("wheel")
    shutil.copytree(
        ROOT,
        copy,
        ignore=shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__"),
    )
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    pure = {
        **os.environ,
        "TINA4_WSGI_PURE": "1",
    }  # for any interpreter; tests/compiled has the other kind
    subprocess.run(
        [*command, "--wheel-dir", str(built), str(copy)],
        check=True,
        timeout=FIXTURE_LIMIT_S,
        env=pure,
    )
    (path,) = built.glob("*.whl")
    return path


def pytest_exception_interact() -> None:
    """Know what pytest does by itself when a test fails: it takes the watch away."""
    deadline.stop_watching()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    marker = item.get_closest_marker("deadline")
    limit_s = max(FIXTURE_LIMIT_S, float(marker.args[0]) if marker else 0.0)
    with deadline.within(limit_s, f"the set-up of {item.nodeid}"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    marker = item.get_closest_marker("deadline")
    with deadline.within(float(marker.args[0]) if marker else TEST_LIMIT_S, item.nodeid):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    with deadline.within(FIXTURE_LIMIT_S, f"the tear-down of {item.nodeid}"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if (
        report.skipped
        and not hasattr(report, "wasxfail")
        and not item.get_closest_marker("optional")
    ):
        _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped:
        _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Under CI every test is meant to run: one that is skipped proves nothing, in silence."""
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = (
            f"skipped under CI: {reason}\nmake it run, or mark it @pytest.mark.optional(reason)"
        )
