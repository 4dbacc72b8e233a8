"""Programs that fork from one process know nothing of each other."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import nursery
from tests.support.nursery import Nursery

WAIT_S = 20.0


@pytest.fixture(scope="module")
def born() -> Iterator[Nursery]:
    with nursery.opened((sys.executable, "-W", "error"), "import decimal", {"OF": "all"}) as one:
        yield one


def test_a_program_has_what_was_imported_and_a_main_module_of_its_own(born, tmp_path):
    code = "import os, sys; print('decimal' in sys.modules, *sys.argv, os.getcwd(), os.environ)"
    code += "\nimport __main__; print(__main__.code_of_mine)"

    done = born.run(f"code_of_mine = 1\n{code}", tmp_path, WAIT_S, argv=["a", "b"], env={"X": "1"})

    assert done.stdout == f"True a b {tmp_path} environ({{'X': '1'}})\n1\n"
    assert (done.stderr, done.returncode) == ("", 0)


def test_what_a_program_changes_is_not_changed_for_the_next(born, tmp_path):
    born.run("import decimal, os; decimal.mine = 1; os.environ['OF'] = 'one'", tmp_path, WAIT_S)

    done = born.run(
        "import decimal, os; print(hasattr(decimal, 'mine'), os.environ['OF'])", tmp_path, WAIT_S
    )

    assert done.stdout == "False all\n"


def test_how_a_program_ends_is_told(born, tmp_path):
    raising = born.run("1 / 0", tmp_path, WAIT_S)
    leaving = born.run("raise SystemExit(3)", tmp_path, WAIT_S)
    killed = born.run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", tmp_path, WAIT_S)

    assert [one.returncode for one in (raising, leaving, killed)] == [1, 3, -9]
    assert raising.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_a_program_that_does_not_end_is_named_and_ended(tmp_path: Path) -> None:
    with (
        nursery.opened((sys.executable,), "", {}) as born,
        pytest.raises(AssertionError, match=r"still running after 0\.1 s"),
    ):
        born.run("import time; time.sleep(600)", tmp_path, 0.1)


def test_a_beginning_that_fails_is_named(tmp_path: Path) -> None:
    with (
        nursery.opened((sys.executable,), "raise SystemExit(3)", {}) as born,
        pytest.raises((AssertionError, BrokenPipeError)),
    ):
        born.run("pass", tmp_path, WAIT_S)
