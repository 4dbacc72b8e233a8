"""`make mutants` finds the changes that it should, tries them in copies alone, and ends what they
start.
"""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mutants import finding as mutants_finding
from mutants.__main__ import PARTS, equivalent, mutants_of
from mutants.finding import Finder, Mutant
from mutants.reaching import Reach
from mutants.trying import ROOT, Copy


def find(source: str) -> list[Mutant]:
    return Finder("a.py", textwrap.dedent(source).encode()).found


def changes(source: str) -> set[str]:
    return {f"{one.before} -> {one.after}" for one in find(source)}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = a < b", {"x = a <= b", "x = a >= b"}),
        ("x = a is not b", {"x = a is b"}),
        ("x = a + b", {"x = a - b"}),
        ("x += y", {"x -= y"}),
        ("x = a and b", {"x = a or b", "x = a", "x = b"}),
        ("x = not a", {"x = a"}),
        ("x = -a", {"x = a"}),
        ("x = 7", {"x = 8", "x = 6"}),
        ("x = True", {"x = False"}),
        ("x = a if b else c", {"x = a if True else c", "x = a if False else c"}),
        ("f()", {"pass"}),
    ],
)
def test_a_statement_becomes_what_it_may(before, after):
    assert changes(f"{before}\n") == {f"{before} -> {one}" for one in after}


def test_what_holds_other_statements_is_shown_by_its_head():
    source = """
        def f():
            while a:
                if b:
                    break
            return c
    """

    assert changes(source) == {
        "while a -> while False",
        "if b -> if True",
        "if b -> if False",
        "break -> continue",
        "return c -> return None",
    }
    assert {one.function for one in find(source)} == {"f"}


@pytest.mark.parametrize(
    "source",
    [
        '"""1 + 1"""\n',
        "assert a < b\n",
        "x: Literal[1]\n",
        "def f(a: Literal[1]) -> Literal[2]: ...\n",
        "if TYPE_CHECKING:\n    x = 1\n",
        "class A(Protocol):\n    x = 1\n",
        "return_ = None\n",
        "x = f'{a + b}'\n",
    ],
)
def test_what_is_for_readers_and_checkers_has_no_mutants(source):
    assert changes(source) == set()


def test_a_change_touches_its_own_bytes_alone():
    source = "é = 'é'; x = (a  # why\n     < b)\ny = 1\n".encode()

    (mutant,) = [one for one in Finder("a.py", source).found if one.after.endswith("a <= b")]

    assert mutant.apply(source) == "é = 'é'; x = ((a <= b))\ny = 1\n".encode()


def test_the_sample_of_a_seed_stays_when_lines_are_added_above():
    before, after = (
        sorted(find(text), key=lambda one: one.rank(3))
        for text in ("x = a + 1\n", "\n\nx = a + 1\n")
    )

    assert [one.after for one in before] == [one.after for one in after]
    assert [one.line for one in before] != [one.line for one in after]


@pytest.mark.parametrize("head", ["a, b = (c, d)", "for a, b in c"])
def test_several_targets_are_shown_alike_on_every_python(head):
    source = f"{head}\n" if "=" in head else f"{head}:\n    d = 1\n"

    assert mutants_finding._head(ast.parse(source).body[0]) == head


def test_each_equivalent_mutant_is_there_and_has_a_reason():
    there = {one.identity for folder in PARTS for one in mutants_of(folder)}

    listed = equivalent()

    assert set(listed) - there == set()
    assert all(listed.values())


# In a tree with one module and one test


@pytest.fixture
def build(tmp_path: Path):
    """Make a copy of a tree with this module and this test."""

    def build_one(module: str, test: str) -> Copy:
        tree = tmp_path / "original"
        for path, text in (
            (tree / "tina4_wsgi" / "a.py", module),
            (tree / "tests" / "test_a.py", test),
        ):
            path.parent.mkdir(parents=True)
            path.write_text(textwrap.dedent(text))
        return Copy(tmp_path / "copy", tree)

    return build_one


TEST = """
    from tina4_wsgi import a

    def test_it():
        assert a.f(1, 2) == 3
"""


@pytest.mark.parametrize(("after", "is_killed"), [("return a - b", True), ("return a | b", False)])
def test_a_mutant_is_killed_when_a_test_fails(build, after, is_killed):
    copy = build("def f(a, b):\n    return a + b\n", TEST)
    source = (copy.tree / "tina4_wsgi" / "a.py").read_bytes()
    mutant = Mutant(
        "a.py", "f", 2, "return a + b", after, source.index(b"return"), len(source), after, 2
    )

    assert copy.is_killed(mutant, ["tests"], 30)[0] == is_killed
    assert (copy.tree / "tina4_wsgi" / "a.py").read_bytes() == source
    assert copy.run(["tests"], 30)[0] == 0


SOURCE = """
ONE = 1

def f():
    return ONE

def g():
    return 2

def h():
    return 3
"""
STARTS = """
import subprocess

def test_that_starts():
    subprocess.run(["true"])
"""
TESTS = """
    import pytest
    from tina4_wsgi import a

    def test_of_both():
        assert a.f() + a.g() == 3

    @pytest.mark.parametrize("expected", [1])
    def test_of_f(expected):
        assert a.f() == expected

    def test_of_none():
        pass
"""


@pytest.fixture
def reach(build) -> Reach:
    """What the tests of a tree with its own copy of `mutants` reach."""
    copy = build(SOURCE, TESTS)
    shutil.copytree(ROOT / "mutants", copy.tree / "mutants")
    (copy.tree / "tests" / "test_b.py").write_text(STARTS)
    return copy.reach(["tests"])


def test_a_mutant_meets_the_tests_that_reach_it_then_those_whose_processes_may(reach):
    names = {
        one.line: [name.partition("::test_")[2] for name in reach.tests_of(one)]
        for one in find(SOURCE)
    }

    assert set(names[5][:2]) == {"of_both", "of_f"}
    assert names[5][2:] == ["that_starts"]
    assert names[8] == ["of_both", "that_starts"]
    assert names[11] == ["that_starts"]


def test_what_an_import_runs_meets_all_tests(reach):
    (mutant, _) = [one for one in find(SOURCE) if one.line == 2]

    assert len(reach.tests_of(mutant)) == 4


def test_tests_that_fail_without_a_mutant_are_told(build):
    copy = build("", "def test_it():\n    assert False\n")
    shutil.copytree(ROOT / "mutants", copy.tree / "mutants")

    with pytest.raises(
        SystemExit, match=r"the tests fail without a mutant: FAILED tests/test_a\.py::test_it"
    ):
        copy.reach(["tests"])


def test_tests_that_hang_are_told(build):
    copy = build("", "import time\n\ndef test_it():\n    time.sleep(600)\n")

    assert copy.run(["tests"], 0) == (-1, "timeout")


def test_what_the_tests_leave_behind_is_ended_and_nothing_else(build):
    copy = build("", TEST)
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    env = {**os.environ, "PYTHONPATH": str(copy.tree)}
    with (
        subprocess.Popen(sleep, env=env, start_new_session=True) as left,
        subprocess.Popen(sleep, env=os.environ | {"PYTHONPATH": f"{copy.tree}2"}) as other,
    ):
        copy.end_what_is_left()

        assert left.wait() == -signal.SIGKILL
        assert other.poll() is None
        other.kill()
