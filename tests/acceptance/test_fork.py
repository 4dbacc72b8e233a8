"""A process forked from one with open connections refuses to serve; the one that forked goes on."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from tests.support.servers import PYTHON, ROOT
from tests.support.site import APPS

Found = dict[str, str]


@pytest.fixture(scope="module")
def found() -> Found:
    """Run apps/forking.py."""
    done = subprocess.run(
        [*PYTHON, "forking.py"], cwd=APPS, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=20,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_a_process_forked_with_a_connection_open_raises_fork_error(found: Found) -> None:
    assert found["during"].startswith("ForkError: this process was forked from one with 1 open connections")


def test_a_process_forked_before_the_first_connection_may_serve(found: Found) -> None:
    assert found["before"] == "done"


def test_a_process_forked_after_the_last_connection_may_serve(found: Found) -> None:
    assert found["after"] == "done"


def test_the_process_that_forked_goes_on(found: Found) -> None:
    assert found["parent"] == "\x81\x02hi"
