"""The engine compiled from its own source does what it does in Python: its tests pass both ways."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TREE = ROOT / ".cache" / "compiled"
DECLARED = sorted(
    path.relative_to(ROOT).with_suffix("") for path in (ROOT / "tina4_wsgi").rglob("*.pxd")
)

BUILD_S = 300
TESTS_S = 600  # for the thousands of a folder

# What the compiled modules do, from bytes to servers, in several runs. What needs none of them
# isn't run a second time.
TESTS = (
    "tests/protocol tests/hub",
    "tests/websocket tests/hostile",
    "tests/engine",
    "tests/acceptance",
    "tests/server/test_front.py tests/server/test_head_scan.py tests/server/test_newcomers.py"
    " tests/server/test_plain_connection.py tests/server/test_request_head.py",
)

# Of the kinds of servers one with greenlets and one with threads: others differ in Python alone.
KINDS = "own gthread"
FUZZ_EXAMPLES = "100"  # the source is the same, and it is fed three times as many in Python

pytestmark = pytest.mark.deadline(BUILD_S + 30)


@pytest.fixture(scope="module")
def tree() -> Path:
    """A copy of the tree with the modules compiled in place; kept, so that only what has changed is
    built again.
    """
    _copy_anew()
    command = [
        sys.executable,
        "setup.py",
        "--quiet",
        "build_ext",
        "--inplace",
        "--parallel",
        str(os.cpu_count()),
    ]
    env = {**os.environ, "TINA4_WSGI_PURE": "0"}  # what can't be compiled is an error here
    done = subprocess.run(
        command, cwd=TREE, env=env, capture_output=True, text=True, timeout=BUILD_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return TREE


def _copy_anew() -> None:
    TREE.mkdir(parents=True, exist_ok=True)
    for name in (
        "tina4_wsgi",
        "tests",
        "examples",
        "wsgi.py",
        "setup.py",
        "pyproject.toml",
        "README.md",
        "LICENSE",
    ):
        source, copy = ROOT / name, TREE / name
        if source.is_file():
            shutil.copy2(source, copy)
            continue
        for old in [
            path
            for path in copy.rglob("*")
            if path.suffix not in (".so", ".pyc") and path.is_file()
        ]:
            old.unlink()
        # Times go along, or everything would be newer than what was built from it.
        shutil.copytree(
            source, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "*.so")
        )


def run(tree: Path, *command: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
    env = {
        **os.environ,
        "PYTHONPATH": str(tree),
        "TINA4_TEST_KINDS": KINDS,
        "FUZZ_EXAMPLES": FUZZ_EXAMPLES,
    }
    env.pop("PYTEST_ADDOPTS", None)
    return subprocess.run(
        [sys.executable, *command],
        cwd=tree,
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def test_every_module_with_a_pxd_is_compiled(tree):
    names = [".".join(module.parts) for module in DECLARED]
    listing = (
        f"import importlib; [print(importlib.import_module(name).__file__) for name in {names}]"
    )

    done = run(tree, "-W", "error", "-c", listing, timeout_s=20)

    assert done.stderr == ""
    assert [line for line in done.stdout.split() if not line.endswith(".so")] == []


@pytest.mark.deadline(TESTS_S + 10)
@pytest.mark.parametrize("tests", TESTS)
def test_the_tests_of_the_engine_pass_with_it(tree, tests):
    done = run(tree, "-m", "pytest", *tests.split(), timeout_s=TESTS_S)

    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
    assert " passed in " in done.stdout.splitlines()[-1]
