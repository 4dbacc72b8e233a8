"""The checks of conftest.py find what they are meant to find.

pytest runs on the files in `the_checks/`, once as on a developer's machine and once as under CI;
each test here looks at how one case ended.
"""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CASES = Path(__file__).parent / "the_checks"


def run(folder: Path, *arguments: str, **env: str) -> dict[str, str]:
    """Run pytest; give for each case "passed", or "skipped"/"failure"/"error" and the message."""
    report = folder / "report.xml"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        str(ROOT / "pyproject.toml"),
        f"--rootdir={ROOT}",
    ]
    command += ["-o", f"cache_dir={folder}", f"--junit-xml={report}", *arguments]
    clean = {name: value for name, value in os.environ.items() if name != "CI"}
    done = subprocess.run(
        command, cwd=ROOT, env=clean | env, capture_output=True, text=True, timeout=100, check=False
    )
    assert report.exists(), done.stdout + done.stderr
    outcomes: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        marks = [mark for mark in case if not mark.tag.startswith("system-")]
        texts = [f"{mark.tag}: {mark.get('message')}\n{mark.text}" for mark in marks]
        outcomes[case.get("name", "").rpartition(".")[2]] = "\n".join(texts) or "passed"
    return outcomes


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return run(tmp_path_factory.mktemp("developer"), str(CASES / "cases.py"))


@pytest.fixture(scope="module")
def outcomes_under_ci(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    files = map(str, sorted(CASES.glob("*skip*.py")))
    return run(tmp_path_factory.mktemp("ci"), "--continue-on-collection-errors", *files, CI="true")


def test_a_clean_test_passes(outcomes):
    assert outcomes["test_clean"] == "passed"


def test_a_greenlet_left_running_is_named_with_its_place(outcomes):
    assert "greenlet left running" in outcomes["test_greenlet"]
    assert "in wait_for_ever" in outcomes["test_greenlet"]


def test_a_greenlet_that_nothing_else_refers_to_any_more_is_found(outcomes):
    assert "greenlet left running" in outcomes["test_forgotten_greenlet"]


def test_a_greenlet_that_has_not_begun_is_found(outcomes):
    assert "greenlet left running" in outcomes["test_greenlet_not_begun"]


def test_a_socket_left_open_is_named_with_its_address(outcomes):
    assert "socket left open: fd" in outcomes["test_socket"]
    assert "local ('127.0.0.1'" in outcomes["test_socket"]


def test_a_child_process_left_running_is_named_with_its_command(outcomes):
    assert "child process left: pid" in outcomes["test_child"]
    assert "sleep 3" in outcomes["test_child"]


def test_a_thread_left_running_is_found(outcomes):
    assert "thread left running" in outcomes["test_thread"]
    assert "stray" in outcomes["test_thread"]


def test_a_thread_of_ours_that_threading_does_not_know_is_found(outcomes):
    found = outcomes["test_watch_of_a_loop"]
    assert "thread left running: tina4_wsgi.hub.loop_watch._watch" in found


def test_the_leaks_mark_switches_the_check_off(outcomes):
    assert outcomes["test_marked_leak"] == "passed"


def test_a_warning_is_an_error(outcomes):
    assert outcomes["test_warning"].startswith("failure: DeprecationWarning: old")


@pytest.mark.parametrize("hang", ["loop", "sleep", "hub", "greenlet", "swallowed", "socket"])
def test_the_deadline_ends_a_test_that_hangs(outcomes, hang):
    assert "took longer than 0.3 s" in outcomes[f"test_hang[{hang}]"]


def test_a_skip_is_a_skip_on_a_developers_machine(outcomes):
    assert outcomes["test_skip"].startswith("skipped")


@pytest.mark.parametrize(
    "case", ["test_skip_inside", "test_skip_mark", "test_skip_if", "module_skips", "import_skips"]
)
def test_a_skip_is_a_failure_under_ci(outcomes_under_ci, case):
    assert "skipped under CI" in outcomes_under_ci[case]
    assert "no browser" in outcomes_under_ci[case]


def test_an_optional_test_may_be_skipped_under_ci(outcomes_under_ci):
    assert outcomes_under_ci["test_optional_skip"].startswith("skipped")


def test_an_expected_failure_is_no_skip(outcomes_under_ci):
    assert "skipped under CI" not in outcomes_under_ci["test_expected_failure"]
